import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.augment import NOISES, Augmenter, noised, noised_text
from client.synonyms import GROUPS
from shared.config import RunConfig
from shared.datastage import AugmentationSection
from shared.record import Record
from shared.tasks.base import Learner

TEXT = "The doctor gave <PERSON_1> a good medicine on <DATE_1> and will call 020-555 again soon, because it was very bad."
sections = st.builds(
    AugmentationSection,
    noises=st.lists(st.sampled_from(sorted(NOISES)), min_size=1, unique=True).map(tuple),
    rate=st.sampled_from([0.05, 0.5, 1.0]),
)


@settings(max_examples=100)
@given(st.text(max_size=60), sections, st.integers(0, 99))
def test_a_view_follows_from_its_text_alone_and_every_text_has_one(
    text: str, section: AugmentationSection, seed: int
) -> None:
    view = noised_text(text, section, (seed, 1))
    assert view == noised_text(text, section, (seed, 1))
    assert len(view.split()) == len(text.split())


@settings(max_examples=100)
@given(sections, st.integers(0, 99))
def test_tags_and_numbers_are_left_alone_so_no_noise_makes_or_breaks_an_identifier(
    section: AugmentationSection, seed: int
) -> None:
    kept = sorted(re.findall(r"\S*[\d<>]\S*", noised_text(TEXT, section, (seed, 2))))
    assert kept == sorted(re.findall(r"\S*[\d<>]\S*", TEXT))


@pytest.mark.parametrize("noise", sorted(NOISES))
def test_each_noise_changes_text_in_its_own_way(noise: str) -> None:
    section = AugmentationSection(noises=(noise,), rate=1.0)  # type: ignore[arg-type]
    view = noised_text(TEXT, section, (3, 1))
    assert view != TEXT
    if noise == "case":
        assert view.lower() == TEXT.lower()
    if noise == "order":
        assert sorted(view.split()) == sorted(TEXT.split())
    if noise == "synonyms":
        assert "doctor" not in view
        assert "physician" in view


def test_views_differ_and_are_drawn_anew_on_each_occasion() -> None:
    section = AugmentationSection(rate=0.5)
    views = {noised(Record({"text": TEXT}, "yes"), section, (0, occasion, view)).fields["text"]
             for occasion in range(3) for view in range(3)}  # fmt: skip
    assert len(views) == 9


def test_a_response_is_never_noised_and_labels_stay() -> None:
    record = Record({"instruction": TEXT, "response": TEXT}, "yes", 4)
    view = noised(record, AugmentationSection(rate=1.0), (0, 1))
    assert view.fields["response"] == TEXT
    assert view.fields["instruction"] != TEXT
    assert (view.label, view.position) == ("yes", 4)


def test_the_record_itself_is_the_first_view_and_another_record_changes_none(
    classify: RunConfig, learner_of: Callable[[RunConfig], Learner]
) -> None:
    task = learner_of(classify).task
    section = AugmentationSection(views=4, rate=0.8)
    records = [Record({"text": text}, "yes") for text in ("aia bjb ckc dld", "eme fnf gog hph")]
    both, last = (Augmenter(some, task, section, 1) for some in (records, records[1:]))
    views = both.views(1, 5)
    assert len(views) == 4
    assert views[0].ids.tolist() == task.encode(records[1:])[0].ids.tolist()
    assert [view.ids.tolist() for view in views] == [view.ids.tolist() for view in last.views(0, 5)]


def test_no_word_is_in_two_groups_of_synonyms() -> None:
    words = [word for group in GROUPS for word in group]
    assert len(words) == len(set(words))
    assert all(len(group) > 1 for group in GROUPS)
