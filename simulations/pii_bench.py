"""Recall, precision and speed of our levels beside Presidio as it comes, on one file of labelled texts.

python -m simulations.pii_bench FILE.jsonl [--lower] [--perturb] [--json]
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import spacy
from presidio_analyzer import AnalyzerEngine, BatchAnalyzerEngine
from presidio_analyzer.nlp_engine import SpacyNlpEngine
from rich.console import Console
from rich.table import Table

from privacy.anonymise.findings import Finding
from privacy.anonymise.language import locate
from privacy.anonymise.leaks import Marked, leak_score
from privacy.anonymise.levels import LEVELS
from privacy.anonymise.outcome import Quarantined
from privacy.anonymise.scrubber import Scrubber
from privacy.anonymise.spanscore import is_installed, span_scores
from shared.errors import DataError, HushtuneError
from shared.record import RawRecord, Span
from shared.sections import AnonymiseSection

MODEL = "en-core-web-sm"
Texts = Sequence[tuple[str, tuple[Span, ...]]]
Detector = Callable[[Texts], list[Marked]]


def read_labelled(path: Path) -> Texts:
    """Texts and their true spans from JSON lines ``{"text", "spans": [{"label", "start", "end"}]}``.

    Raises:
        DataError: the file is missing or a line is not of this form; the line's number, never its text.
    """
    texts = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path}: cannot be read as UTF-8 text; give a file of JSON lines") from None
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            spans = tuple(Span(str(s["label"]), int(s["start"]), int(s["end"])) for s in row["spans"])
            texts.append((str(row["text"]), spans))
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{path}, line {number}: not {{text, spans: [{{label, start, end}}]}}; mend it") from None
    return texts


class Stock(SpacyNlpEngine):
    """Presidio's own engine with its own labels, over a model from a folder."""

    def __init__(self) -> None:
        super().__init__()
        self.nlp = {"en": spacy.load(locate(MODEL))}  # type: ignore[assignment]


def stock() -> Detector:
    """Presidio as it comes: default recognisers, default entities, default batches."""
    engine = BatchAnalyzerEngine(AnalyzerEngine(nlp_engine=Stock()))

    def detect(texts: Texts) -> list[Marked]:
        results = engine.analyze_iterator([text for text, _ in texts], language="en")
        return [
            Marked(text, spans, [Finding(r.entity_type, r.start, r.end, r.score) for r in found])
            for (text, spans), found in zip(texts, results, strict=True)
        ]

    return detect


def ours(level: str) -> Detector:
    """One of our levels; a held-back text counts as covered from end to end."""
    scrubber = Scrubber(AnonymiseSection(level=level, workers=1), locate(MODEL))  # type: ignore[arg-type]

    def detect(texts: Texts) -> list[Marked]:
        records = [RawRecord({"text": text}, None, i, {"text": spans}) for i, (text, spans) in enumerate(texts, 1)]
        return [
            Marked(*texts[done.position - 1], [Finding("HELD_BACK", 0, len(texts[done.position - 1][0]), 1.0)])
            if isinstance(done, Quarantined)
            else Marked(done.prepared.texts["text"], done.prepared.spans["text"] or (), done.findings[0])
            for done in scrubber.examine(records)
        ]

    return detect


def row(name: str, detect: Detector, texts: Texts) -> dict[str, Any]:
    """All measures of one detector."""
    detect(texts[:50])
    started = time.process_time()
    marked = detect(texts)
    seconds = time.process_time() - started
    score = leak_score(marked)
    spans = {f"iou {overlap}": span_scores(marked, overlap)["PII"].__dict__ for overlap in (0.9, 0.7)} if is_installed() else {}
    return {
        "name": name,
        **spans,
        "character recall": score.characters.interval().value,
        "precision": score.precision,
        "whole spans": score.whole.interval().value,
        "direct identifiers": score.direct.interval().__dict__,
        "leak-free": score.documents.interval().value,
        "over-redaction": score.harmless.interval().value,
        "texts per CPU-second": len(texts) / seconds,
        "by label": {label: [recall.found, recall.total] for label, recall in score.spans.items()},
    }
