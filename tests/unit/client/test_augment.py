from collections.abc import Callable

from client.augment import Augmenter
from shared.config import RunConfig
from shared.datastage import AugmentationSection
from shared.record import Record
from shared.tasks.base import Learner

LearnerOf = Callable[[RunConfig], Learner]


def test_views_differ_and_are_drawn_anew_on_each_occasion(classify: RunConfig, learner_of: LearnerOf) -> None:
    section = AugmentationSection(views=4, rate=0.5, noises=("order",))
    words = "aia bjb ckc dld eme fnf gog hph aib bjc ckd dle"
    augmenter = Augmenter([Record({"text": words}, "yes")], learner_of(classify).task, section, 0)
    views = {tuple(view.ids.tolist()) for occasion in range(3) for view in augmenter.views(0, occasion)[1:]}
    assert len(views) == 9


def test_the_record_itself_is_the_first_view_and_another_record_changes_none(
    classify: RunConfig, learner_of: LearnerOf
) -> None:
    task = learner_of(classify).task
    section = AugmentationSection(views=4, rate=0.8)
    records = [Record({"text": text}, "yes") for text in ("aia bjb ckc dld", "eme fnf gog hph")]
    both, last = (Augmenter(some, task, section, 1) for some in (records, records[1:]))
    views = both.views(1, 5)
    assert len(views) == 4
    assert views[0].ids.tolist() == task.encode(records[1:])[0].ids.tolist()
    assert [view.ids.tolist() for view in views] == [view.ids.tolist() for view in last.views(0, 5)]


def test_a_record_counts_as_much_as_it_reads_of_somebody_else(classify: RunConfig, learner_of: LearnerOf) -> None:
    task = learner_of(classify).task
    records = [Record({"text": text}, "yes") for text in ("she aia bjb", "aia ckc dld eme")]
    plain = Augmenter(records, task, AugmentationSection(swaps=("gender",)), 0)
    he = task.encode([Record({"text": "he aia bjb"}, "yes")])[0].ids.tolist()
    assert [view.ids.tolist() for view in plain.views(0, 3)] == [task.encode(records)[0].ids.tolist(), he]
    assert len(plain.views(1, 3)) == 1  # there is nobody in it to exchange
    noised = Augmenter(records, task, AugmentationSection(swaps=("gender",), views=3, noises=("order",), rate=0.5), 0)
    views = [view.ids.tolist() for view in noised.views(0, 3)]
    assert len(views) == 6  # two sides, each with two noised views
    assert views[3] == he
    assert [sorted(view) for view in views] == [sorted(views[0])] * 3 + [sorted(he)] * 3
