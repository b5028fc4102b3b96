import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.metrics.spans import bio_spans, span_sums


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O O O", set()),
        ("B-A I-A O B-A", {("A", 0, 2), ("A", 3, 4)}),
        ("B-A B-A I-A", {("A", 0, 1), ("A", 1, 3)}),
        ("B-A I-B I-B", {("A", 0, 1), ("B", 1, 3)}),
        ("O I-A I-A", {("A", 1, 3)}),
        ("B-a-b I-a-b", {("a-b", 0, 2)}),
    ],
)
def test_bio_tags_are_read_as_conlleval_reads_them(tags: str, spans: set[tuple[str, int, int]]) -> None:
    assert bio_spans(tags.split()) == spans


def test_span_scores_of_a_case_by_hand() -> None:
    # Three records: 2 of 3 found with one too many, nothing to find, nothing found.
    f1, precision, recall = span_sums(np.array([2.0, 0, 0]), np.array([3.0, 0, 0]), np.array([3.0, 0, 1]))
    assert (precision.value(), recall.value()) == (pytest.approx(2 / 3), pytest.approx(2 / 4))
    assert f1.value() == pytest.approx(2 * 2 / (3 + 4))
    interval = f1.interval(300, 0.95, 0)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=9))
def test_f1_is_the_harmonic_mean_of_precision_and_recall(records: list[tuple[int, int, int]]) -> None:
    hits, extra, missed = np.array(records, dtype=np.float64).T
    f1, precision, recall = (each.value() for each in span_sums(hits, hits + extra, hits + missed))
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall) if precision + recall else 0)
