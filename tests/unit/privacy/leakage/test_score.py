import pytest

from privacy.detect.findings import Finding
from privacy.leakage.recall import Recall
from privacy.leakage.score import Marked, leak_score
from shared.records.types import Span

TEXT = "Ann Lee is 41, call 555 0199"
SPANS = (Span("PERSON", 0, 7), Span("AGE", 11, 13), Span("PHONE", 20, 28))


def marked(*found: tuple[int, int]) -> Marked:
    return Marked(TEXT, SPANS, [Finding("X", start, end, 1.0) for start, end in found])


def test_a_leak_counts_whatever_type_was_found() -> None:
    score = leak_score([marked((0, 3), (20, 28), (8, 10))])
    assert score.characters == Recall(10, 15)
    assert (score.whole, score.direct) == (Recall(1, 3), Recall(1, 2))
    assert score.documents == Recall(0, 1)
    assert score.harmless == Recall(2, 6)
    assert score.precision == pytest.approx(10 / 12)


def test_all_covered_leaks_nothing_and_a_text_without_data_counts_only_as_harmless() -> None:
    score = leak_score([marked((0, 28)), Marked("nothing here", (), [])])
    assert score.documents == Recall(1, 1)
    assert score.harmless == Recall(6, 17)
    assert leak_score([]).f2 == 1.0
