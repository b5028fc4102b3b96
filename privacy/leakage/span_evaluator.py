"""Score spans with the evaluator of Presidio's research package, if installed, to compare with published figures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from privacy.detect.languages.registry import AUTO
from privacy.leakage.score import Marked

if TYPE_CHECKING:
    from spacy.tokens import Doc

PACKAGE = "presidio_evaluator"
# Labels of public data sets and of Faker -> our types; other labels stay as they are.
SAME_AS: Mapping[str, str] = {
    "GPE": "LOCATION", "LOC": "LOCATION", "CITY": "LOCATION", "COUNTRY": "LOCATION", "STATE": "LOCATION",
    "ZIP_CODE": "POSTCODE", "DOMAIN_NAME": "URL", "NAME": "PERSON", "PATIENT": "PERSON", "DOCTOR": "PERSON",
    "DATE_OF_BIRTH": "DATE_TIME", "DATE": "DATE_TIME", "MEDICAL_RECORD_NUMBER": "RECORD_NUMBER", "ORG": "ORGANIZATION",
    "EMAIL": "EMAIL_ADDRESS", "PHONE": "PHONE_NUMBER", "ADDRESS": "STREET_ADDRESS", "IBAN": "IBAN_CODE",
}  # fmt: skip


@dataclass(frozen=True)
class SpanScore:
    """Precision, recall and F2 of spans whose overlap (intersection over union) reaches a threshold."""

    precision: float
    recall: float
    f2: float


def is_installed() -> bool:
    """Return whether the evaluator is installed; it is an optional extra, because it needs plotting libraries."""
    return find_spec(PACKAGE) is not None


def tokeniser(setting: str) -> str:
    """Return the code of spaCy's tokeniser for a value of ``anonymise.language``; that of any language for several."""
    return "xx" if setting == AUTO else setting


def span_scores(marked: Iterable[Marked], overlap: float, language: str = "en") -> dict[str, SpanScore]:
    """Return scores by type, and over all types under "PII".

    Parameters
    ----------
    marked
        Texts with their true spans and findings.
    overlap
        Intersection over union from which two spans match, above 0 and at most 1.
    language
        Code of the language whose spaCy tokeniser splits the texts; a token belongs to a span if any of its characters does.
    """
    import pandas
    import spacy
    from presidio_evaluator.evaluation import SpanEvaluator

    tokenise = spacy.blank(language).tokenizer
    rows = [row for number, one in enumerate(marked) for row in _rows(number, one, tokenise(one.text))]
    table = pandas.DataFrame(rows, columns=["sentence_id", "token", "start_indices", "annotation", "prediction"])
    result = SpanEvaluator(iou_threshold=overlap, char_based=True).calculate_score_on_df(table, beta=2)
    scores = {label: SpanScore(r.precision, r.recall, r.f_beta) for label, r in result.per_type.items() if r.num_annotated}
    return {**dict(sorted(scores.items())), "PII": SpanScore(result.pii_precision, result.pii_recall, result.pii_f)}


def _rows(number: int, one: Marked, tokens: "Doc") -> Iterable[tuple[int, str, int, str, str]]:
    """Yield for each token the text's number, the token, its start, its true type and its found type."""
    true = _types(len(one.text), [(SAME_AS.get(s.label, s.label), s.start, s.end) for s in one.spans])
    found = _types(len(one.text), [(SAME_AS.get(f.label, f.label), f.start, f.end) for f in one.findings])
    for token in tokens:
        places = range(token.idx, token.idx + len(token.text))
        yield number, token.text, token.idx, _first(true, places), _first(found, places)


def _types(length: int, spans: Sequence[tuple[str, int, int]]) -> list[str]:
    types = ["O"] * length
    for label, start, end in spans:
        types[start:end] = [label] * (end - start)
    return types


def _first(types: Sequence[str], places: range) -> str:
    return next((types[place] for place in places if types[place] != "O"), "O")
