"""Score one of our levels and stock Presidio on the same labelled texts; no result holds text."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from privacy.anonymise.polyglot import Polyglot
from privacy.anonymise.scrubbed import Quarantined
from privacy.anonymise.scrubber import Clean
from privacy.detect.findings import Finding
from privacy.detect.spacy_models import locate_models, named
from privacy.leakage.confusion import confusion, touched
from privacy.leakage.labelled import Texts, read_harmless, read_labelled
from privacy.leakage.residual import StockPresidios
from privacy.leakage.score import Marked, leak_score
from privacy.leakage.span_evaluator import is_installed, span_scores, tokeniser
from shared.config.anonymise import AnonymiseSection
from shared.records.types import RawRecord

# Intersection over union from which a finding matches a true span.
OVERLAPS = (0.5, 0.7)
STOCK = "stock Presidio"
# The type of the one finding that stands for a text that was held back.
HELD_BACK = "HELD_BACK"

Detector = Callable[[Texts], list[Marked]]


def stock(section: AnonymiseSection, batch_size: int = 64) -> Detector:
    """Return Presidio with its default recognisers and entities, and the same spaCy models and languages as ours."""
    ours = Polyglot(section)
    presidio = StockPresidios(ours.models, batch_size)

    def detect(texts: Texts) -> list[Marked]:
        codes = [ours.language_of(RawRecord({"text": text})) for text, _ in texts]
        found = presidio.detect([text for text, _ in texts], codes)
        return [Marked(text, spans, findings) for (text, spans), findings in zip(texts, found, strict=True)]

    return detect


def ours(section: AnonymiseSection) -> Detector:
    """Return our anonymiser; a text that it holds back counts as covered from end to end."""
    scrubber = Polyglot(section)

    def detect(texts: Texts) -> list[Marked]:
        records = [RawRecord({"text": text}, None, i, {"text": spans}) for i, (text, spans) in enumerate(texts, 1)]
        return [_marked(done, *texts[i]) for i, done in enumerate(scrubber.examine(records))]

    return detect


def score_file(section: AnonymiseSection, labelled: Path, harmless: Path | None) -> dict[str, Any]:
    """Score the anonymiser, and stock Presidio beside it, on a file of labelled texts; return plain values without text.

    Parameters
    ----------
    section
        Settings of the anonymiser.
    labelled
        File for ``read_labelled``.
    harmless
        File for ``read_harmless``; None measures no terms.

    Raises
    ------
    DataError
        A file is not of its form.
    ModelError
        A language model cannot be found or loaded.
    """
    texts, terms = read_labelled(labelled), read_harmless(harmless) if harmless else []
    section = section.model_copy(update={"operator": "tag"})
    detectors = {STOCK: stock(section), f"hushtune, {section.level}": ours(section)}
    rows = []
    for name, detect in detectors.items():
        rows.append({"name": name, **_row(detect(texts), detect(terms), section.language)})
    return {
        "texts": len(texts),
        "level": section.level,
        "language": section.language,
        "model": named(locate_models(section)),
        "rows": rows,
    }


def _row(labelled: Sequence[Marked], harmless: Sequence[Marked], language: str) -> dict[str, Any]:
    """Return the measures of one detector, from its findings in labelled texts and in texts with terms that must stay."""
    score = leak_score(labelled)
    return {
        "f2": {str(o): asdict(span_scores(labelled, o, tokeniser(language))["PII"]) for o in OVERLAPS}
        if is_installed()
        else None,
        "direct_identifiers": score.direct.row(),
        "whole_spans": score.whole.row(),
        "leak_free_texts": score.documents.row(),
        "other_text_redacted": score.harmless.row(),
        "harmless_terms_touched": touched(harmless).row() if harmless else None,
        "held_back": sum(is_held_back(one) for one in (*labelled, *harmless)),
        "by_kind": {label: recall.row() for label, recall in score.spans.items()},
        "confusion": confusion(one for one in labelled if not is_held_back(one)),
    }


def is_held_back(one: Marked) -> bool:
    """Return whether the anonymiser held the text back."""
    return any(finding.label == HELD_BACK for finding in one.findings)


def _marked(done: Clean | Quarantined, text: str, spans: Sequence[Any]) -> Marked:
    """Return a text with its findings and its true spans, both in the normalised text."""
    if isinstance(done, Quarantined):
        return Marked(text, spans, [Finding(HELD_BACK, 0, len(text), 1.0)])
    return Marked(done.prepared.texts["text"], done.prepared.spans["text"] or (), done.findings[0])
