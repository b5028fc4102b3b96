from privacy.detect.findings import Finding
from privacy.leakage.confusion import HARMLESS, MISSED, confusion, touched
from privacy.leakage.recall import Recall
from privacy.leakage.score import Marked
from shared.records.types import Span

TEXT = "Ann Lee of Rome, call 555 0199 at noon"


def test_each_true_span_counts_once_under_the_kind_that_covers_most_of_it() -> None:
    spans = [Span("PERSON", 0, 7), Span("GPE", 11, 15), Span("PHONE_NUMBER", 22, 30)]
    found = [Finding("LOCATION", 0, 3, 1.0), Finding("PERSON", 4, 15, 1.0), Finding("DATE_TIME", 34, 38, 1.0)]
    assert confusion([Marked(TEXT, spans, found), Marked(TEXT, spans[:1], [Finding("PERSON", 0, 7, 1.0)])]) == {
        HARMLESS: {"DATE_TIME": 1},
        "LOCATION": {"PERSON": 1},  # a data set's own name for a place
        "PERSON": {"LOCATION": 1, "PERSON": 1},  # 3 letters of "Ann Lee" are as many as 3: the first finding counts
        "PHONE_NUMBER": {MISSED: 1},
    }


def test_a_term_is_touched_if_one_letter_of_it_is_covered_but_not_by_what_stands_beside_it() -> None:
    terms = [Span("TERM", 0, 7), Span("TERM", 11, 15)]
    assert touched([Marked(TEXT, terms, [Finding("X", 6, 11, 1.0)])]) == Recall(1, 2)
    assert touched([Marked(TEXT, terms, [Finding("X", 7, 11, 1.0)])]) == Recall(0, 2)
