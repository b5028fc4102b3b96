from fixture_types import Change, LearnerOf

from client.data_stage.augmentation.views import Augmenter
from shared.config.data_stage import AugmentationSection
from shared.config.run import RunConfig
from shared.records.types import Record


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
    assert views[1] == he
    assert [sorted(view) for view in views] == [sorted(views[0]), sorted(he)] * 3


def test_views_are_of_the_paraphrases_in_turn_and_a_dropped_one_falls_back_on_the_noised_text(
    classify: RunConfig, learner_of: LearnerOf
) -> None:
    task = learner_of(classify).task
    text, first, third = "aia bjb ckc dld", "eme fnf gog hph", "aib bjc ckd dle"
    wordings = {text: (first, None, third)}
    (own, one, three) = (task.encode([Record({"text": each}, "yes")])[0].ids.tolist() for each in (text, first, third))
    plain = Augmenter(
        [Record({"text": text}, "yes")], task, AugmentationSection(views=3, noises=(), paraphrases=3), 0, wordings
    )
    assert [[view.ids.tolist() for view in plain.views(0, occasion)] for occasion in range(3)] == [
        [own, one, own],
        [own, three, one],
        [own, own, three],
    ]
    ordered = AugmentationSection(views=4, noises=("order",), rate=0.9, paraphrases=3)
    noised = Augmenter([Record({"text": text}, "yes")], task, ordered, 0, wordings).views(0, 0)
    assert [sorted(view.ids.tolist()) for view in noised] == [sorted(ids) for ids in (own, one, own, three)]
    assert noised[2].ids.tolist() != own


def test_a_response_stays_as_it_is_whatever_its_instruction_is_called(
    instruct: RunConfig, change: Change, learner_of: LearnerOf
) -> None:
    task = learner_of(change(instruct, {"model.max_length": 64})).task
    record = Record({"instruction": "aia bjb", "response": "ckc dld eme"})
    section = AugmentationSection(views=2, noises=(), paraphrases=1)
    own, view = Augmenter([record], task, section, 0, {"aia bjb": ("hph",)}).views(0, 0)
    (expected,) = task.encode([Record({"instruction": "hph", "response": "ckc dld eme"})])
    assert view.ids.tolist() == expected.ids.tolist()
    assert view.ids.tolist() != own.ids.tolist()
    assert view.ids[view.target].tolist() == own.ids[own.target].tolist()
