import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import pii as pii_bench
from bench.pii import PERTURBATIONS, perturbed
from bench.scrubbing import _rows
from bench.unseen import FRAMES, LABELS, Filler
from privacy.detect.findings import Finding
from privacy.detect.normalise import normalise
from privacy.leakage.score import Marked
from shared.records.types import Span

# A planted value between plain words: letters and digits that a disguise can touch, with what stands in names and numbers.
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
values = st.text(LETTERS + " -.@/+", min_size=1, max_size=30).map(lambda text: f"Q{text}Q")
CANONICAL = ("full width", "zero width", "entities")
# "w" has no lookalike, so that each word mixes scripts; a word of another script alone may be a word of that language.
mixed = st.lists(st.text(LETTERS, min_size=1, max_size=8).map("w".__add__), min_size=1, max_size=4).map(" ".join)


@pytest.mark.parametrize("name", CANONICAL)
@given(value=values)
def test_what_is_canonicalised_is_read_as_if_nothing_had_been_done(name: str, value: str) -> None:
    assert normalise(PERTURBATIONS[name](f"call {value} now")) == normalise(f"call {value} now")


@given(mixed)
def test_lookalikes_among_latin_letters_are_read_as_latin(value: str) -> None:
    assert normalise(PERTURBATIONS["lookalikes"](value)) == value


@given(st.lists(values, min_size=1, max_size=4), st.sampled_from(sorted(PERTURBATIONS)))
def test_a_perturbed_span_holds_the_perturbed_value(parts: list[str], name: str) -> None:
    text, spans, at = "", [], 0
    for part in parts:
        text += f" {part}"
        spans.append(Span("PERSON", at + 1, len(text)))
        at = len(text)
    ((changed, moved),) = perturbed([(text, tuple(spans))], PERTURBATIONS[name])
    assert [changed[s.start : s.end] for s in moved] == [PERTURBATIONS[name](part) for part in parts]


def test_a_row_of_the_bench_counts_what_the_detector_covers() -> None:
    text = "Ann and Bob"
    spans = (Span("PERSON", 0, 3), Span("PERSON", 8, 11))
    found = pii_bench.row(
        "half", lambda texts: [Marked(t, s, [Finding("PERSON", 0, 3, 1.0)]) for t, s in texts], [(text, spans)]
    )
    assert (found["whole spans"], found["character recall"], found["leak-free"]) == (0.5, 0.5, 0.0)
    assert found["by label"] == {"PERSON": [1, 2]}


@pytest.mark.parametrize("group", FRAMES)
def test_texts_of_unseen_domains_have_their_values_where_the_spans_say(group: str) -> None:
    filler, again = Filler(group, 3), Filler(group, 3)
    rows = [filler.row() for _ in range(20)]
    assert any(row["spans"] for row in rows) == (group != "lookalikes")
    for row in rows:
        assert row == again.row()
        for span in row["spans"]:
            value = row["text"][span["start"] : span["end"]]
            assert value.strip() == value != ""
            assert span["label"] in {*LABELS.values(), "PERSON", "USERNAME", "URL", "CREDIT_CARD"}
            assert "{" not in value


def test_ratios_are_medians_of_turns_against_the_first() -> None:
    now = iter([0, 4, 4, 5, 5, 9, 9, 11, 11, 23, 23, 29])  # turns of (4, 1), (4, 2) and (12, 6): ratios 4, 2 and 2
    rows = _rows(8, {"first": lambda: None, "second": lambda: None}, 3, lambda: float(next(now)))
    assert rows == [
        {"pipeline": "first", "texts_a_second": 2.0, "ratio": 1.0},
        {"pipeline": "second", "texts_a_second": 4.0, "ratio": 2.0},
    ]
