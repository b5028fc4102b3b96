"""The span evaluator against scores that were worked out by hand."""

import pytest

from privacy.detect.findings import Finding
from privacy.leakage.score import Marked
from privacy.leakage.span_evaluator import is_installed, span_scores
from shared.records.types import Span

pytestmark = pytest.mark.skipif(not is_installed(), reason="presidio-evaluator is an extra")


def marked(text: str, true: dict[str, str], found: dict[str, str]) -> Marked:
    """Make a text with spans, given by the words that they cover: {"Ann Lee": "PERSON"}."""
    places = {words: (text.index(words), text.index(words) + len(words)) for words in {**true, **found}}
    return Marked(
        text,
        [Span(label, *places[words]) for words, label in true.items()],
        [Finding(label, *places[words], 1.0) for words, label in found.items()],
    )


# Words such as "in" would join what stands on their two sides into one span; "visited" does not.
EXACT = marked(
    "call Ann Lee who visited Rome", {"Ann Lee": "PERSON", "Rome": "GPE"}, {"Ann Lee": "PERSON", "Rome": "LOCATION"}
)
PARTLY = marked("see Bartholomew Lee Roberts there", {"Bartholomew Lee Roberts": "PERSON"}, {"Lee Roberts": "PERSON"})
MISSED = marked("from Oslo today", {"Oslo": "LOCATION"}, {})
EXTRA = marked("nothing Table at all", {}, {"Table": "LOCATION"})


def f2(precision: float, recall: float) -> float:
    return 5 * precision * recall / (4 * precision + recall)


def test_what_is_found_whole_scores_one_whatever_the_data_set_calls_it() -> None:
    for overlap in (0.7, 0.9):
        scores = span_scores([EXACT], overlap)
        assert set(scores) == {"LOCATION", "PERSON", "PII"}
        assert all((s.precision, s.recall, s.f2) == pytest.approx((1, 1, 1)) for s in scores.values())


def test_a_missed_span_costs_recall_and_an_extra_one_precision() -> None:
    # Persons: 1 of 1 found. Places: Rome found, Oslo missed, "Table" is none. In all 2 of 3 true, 2 of 3 found are right.
    scores = span_scores([EXACT, MISSED, EXTRA], 0.9)
    assert (scores["PERSON"].precision, scores["PERSON"].recall) == pytest.approx((1, 1))
    assert (scores["LOCATION"].precision, scores["LOCATION"].recall) == pytest.approx((1 / 2, 1 / 2))
    assert (scores["PII"].precision, scores["PII"].recall) == pytest.approx((2 / 3, 2 / 3))
    assert scores["PII"].f2 == pytest.approx(f2(2 / 3, 2 / 3))


def test_a_part_counts_from_the_overlap_that_it_has() -> None:
    # "Lee Roberts" has 10 of the 21 letters of "Bartholomew Lee Roberts", 11 of 23 with the spaces: 0.476 or 0.478.
    assert span_scores([PARTLY], 0.45)["PII"].recall == pytest.approx(1)
    assert span_scores([PARTLY], 0.5)["PII"].recall == pytest.approx(0)
    assert span_scores([PARTLY], 0.5)["PII"].precision == pytest.approx(0)


def test_recall_counts_twice_as_much_as_precision_in_f2() -> None:
    # 2 of 2 true spans found, 2 of 3 found ones right: F2 = 5 * 2/3 / (4 * 2/3 + 1) = 10/11.
    assert span_scores([EXACT, EXTRA], 0.9)["PII"].f2 == pytest.approx(10 / 11)
