import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.records.types import Record
from shared.text.counterfactual import (
    COUNTERPARTS,
    NAMES,
    PAIRS,
    Swap,
    counterparts,
    sides,
    with_names_of,
    with_other_gender,
)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("He told his wife that she was late.", "She told her husband that he was late."),
        ("I saw her and gave her the letter", "I saw him and gave his the letter"),  # the known limit: 'her' before 'the'
        ("MR Smith lost HIS keys", "MRS Smith lost HER keys"),
        ("Her sister met her.", "His brother met him."),
        ("ask him about it", "ask her about it"),
        ("the theme of heroes", "the theme of heroes"),
    ],
)
def test_gendered_words_are_exchanged_and_no_others(text: str, other: str) -> None:
    assert with_other_gender(text) == other


@given(st.text(alphabet="abc HEhesr.,<>_1\n", max_size=40))
def test_a_swap_keeps_everything_between_the_words(text: str) -> None:
    swapped = with_other_gender(text)
    assert len(swapped.split()) == len(text.split())
    assert [c for c in swapped if not c.isalpha()] == [c for c in text if not c.isalpha()]


def test_pairs_go_both_ways() -> None:
    words = [word for pair in PAIRS for word in pair]
    assert len(words) == len(set(words))
    assert all(COUNTERPARTS[COUNTERPARTS[word]] == word for word in words)


def test_names_keep_gender_and_place_and_tags_get_one() -> None:
    text = "Emily met Kofi, <PERSON_2> and <PERSON>."
    english, other = with_names_of(text, "english"), with_names_of(text, "other")
    assert english.startswith("Emily met Oliver, ")
    assert other.startswith("Fatima met Kofi, ")
    assert "<" not in english + other
    assert with_names_of(english, "other") == other
    assert with_names_of("nobody here", "other") == "nobody here"


def test_no_name_is_in_two_lists() -> None:
    names = [name for both in NAMES.values() for group in both for name in group]
    assert len(names) == len(set(names))
    assert len({len(group) for both in NAMES.values() for group in both}) == 1


def test_a_record_is_swapped_in_all_its_fields() -> None:
    record = Record({"instruction": "What does she need, <PERSON_1>?", "response": "Her brother."}, None, 3)
    same, other = sides(record, "gender")
    assert same == record
    assert other.fields == {"instruction": "What does he need, <PERSON_1>?", "response": "His sister."}
    assert (other.label, other.position) == (None, 3)


@given(
    st.lists(st.sampled_from(["she", "he", "<PERSON_1>", "Emily", "aia"]), min_size=1), st.permutations(["gender", "names"])
)
def test_counterparts_begin_with_the_record_hold_no_text_twice_and_favour_no_gender(
    words: list[str], swaps: list[Swap]
) -> None:
    record = Record({"text": " ".join(words)}, "yes")
    found = counterparts(record, swaps)
    texts = [each.fields["text"] for each in found]
    assert found[0] == record
    assert len(set(texts)) == len(texts) <= 6
    assert texts.count(record.fields["text"]) == 1
    if {"she", "he"} & set(words):
        assert sorted(map(with_other_gender, texts)) == sorted(texts)


def test_a_text_that_speaks_of_nobody_has_no_counterpart() -> None:
    record = Record({"text": "the scan was lost"}, "yes")
    assert counterparts(record, ["gender", "names"]) == [record]
    assert counterparts(Record({"text": "she"}), []) == [Record({"text": "she"})]
