"""Measure recall, precision and speed of our levels and of Presidio with its defaults, on one file of labelled texts.

python -m bench.pii FILE.jsonl [--perturb] [--json]
"""

import argparse
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from privacy.anonymise.scrubbed import Quarantined
from privacy.anonymise.scrubber import Scrubber
from privacy.detect.findings import Finding
from privacy.detect.levels import LEVELS
from privacy.detect.spacy_models import locate
from privacy.leakage.residual import StockPresidio
from privacy.leakage.score import Marked, leak_score
from privacy.leakage.span_evaluator import is_installed, span_scores
from shared.config.anonymise import AnonymiseSection
from shared.errors import DataError, HushtuneError
from shared.records.types import RawRecord, Span

MODEL = "en-core-web-sm"
Texts = Sequence[tuple[str, tuple[Span, ...]]]
Detector = Callable[[Texts], list[Marked]]


def read_labelled(path: Path) -> Texts:
    """Read texts and their true spans from JSON lines ``{"text", "spans": [{"label", "start", "end"}]}``.

    Raises
    ------
    DataError
        The file is missing or a line is not of this form; the message has the line's number, never its text.
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
            raise DataError(f"{path}, line {number}: not {{text, spans: [{{label, start, end}}]}}; correct it") from None
    return texts


def stock() -> Detector:
    """Return Presidio with its default recognisers and entities; it reads texts one by one."""
    presidio = StockPresidio(locate(MODEL), "en", batch_size=1)

    def detect(texts: Texts) -> list[Marked]:
        found = presidio.detect([text for text, _ in texts])
        return [Marked(text, spans, findings) for (text, spans), findings in zip(texts, found, strict=True)]

    return detect


def ours(level: str) -> Detector:
    """Return one of our levels; a quarantined text counts as fully covered."""
    scrubber = Scrubber(AnonymiseSection(level=level, workers=1), locate(MODEL))

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
    """Measure one detector."""
    detect(texts[:50])
    started = time.process_time()
    marked = detect(texts)
    seconds = time.process_time() - started
    score = leak_score(marked)
    spans = (
        {f"iou {overlap}": span_scores(marked, overlap)["PII"].__dict__ for overlap in (0.9, 0.7)} if is_installed() else {}
    )
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


PERTURBATIONS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and c not in "<>&" else c for c in text),
    "zero width": lambda text: "\u200b".join(text),
    "lookalikes": lambda text: text.translate(str.maketrans("aeopcxyAEOPCXTHKMB", "аеорсхуАЕОРСХТНКМВ")),
    "entities": lambda text: "".join(f"&#{ord(c)};" if c.isalnum() else c for c in text),
    "lower case": lambda text: "".join(c.lower() if len(c.lower()) == 1 else c for c in text),
    "upper case": lambda text: "".join(c.upper() if len(c.upper()) == 1 else c for c in text),
    "line breaks": lambda text: text.replace(" ", "\n"),
    "spaced digits": lambda text: re.sub(r"(?<=\d)(?=\d)", " ", text),
    "typos": lambda text: re.sub(r"([a-z])([a-z])([a-z])([a-z])", r"\1\3\2\4", text, count=3),
}


def perturbed(texts: Texts, change: Callable[[str], str]) -> Texts:
    """Change each piece of the texts between span borders, so that the new borders are known."""
    out = []
    for text, spans in texts:
        borders = sorted({0, len(text), *(place for span in spans for place in (span.start, span.end))})
        moved, pieces = {0: 0}, []
        for start, end in pairwise(borders):
            pieces.append(change(text[start:end]))
            moved[end] = moved[start] + len(pieces[-1])
        out.append(("".join(pieces), tuple(Span(s.label, moved[s.start], moved[s.end]) for s in spans)))
    return out


def perturbation_rows(texts: Texts, level: str) -> list[dict[str, Any]]:
    """Measure the recall of whole spans and of direct identifiers under each perturbation, at one level."""
    detect = ours(level)
    rows = []
    for name, change in PERTURBATIONS.items():
        score = leak_score(detect(perturbed(texts, change)))
        rows.append(
            {
                "name": name,
                "whole spans": score.whole.interval().value,
                "direct identifiers": score.direct.interval().value,
                "over-redaction": score.harmless.interval().value,
            }
        )
    return rows


def shown(rows: Sequence[dict[str, Any]]) -> Table:
    """Return the rows as a table."""
    names = [name for name in rows[0] if name != "by label"]
    table = Table(*names)
    for one in rows:
        table.add_row(*(_cell(one[name]) for name in names))
    return table


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['value']:.3f}" if "value" in value else " ".join(f"{number:.3f}" for number in value.values())
    return value if isinstance(value, str) else f"{value:.3f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, help="labelled texts, JSON lines")
    parser.add_argument("--perturb", action="store_true", help="recall under perturbations instead")
    parser.add_argument("--level", default="strict", choices=sorted(LEVELS), help="level of the perturbation table")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    texts = read_labelled(arguments.file)
    detectors: list[tuple[str, Callable[[], Detector]]] = [
        ("stock Presidio", stock),
        *((level, partial(ours, level)) for level in LEVELS),
    ]
    rows = (
        perturbation_rows(texts, arguments.level)
        if arguments.perturb
        else [row(name, make(), texts) for name, make in detectors]
    )
    if arguments.json:
        print(json.dumps(rows, indent=2))
    else:
        Console(width=200).print(shown(rows))


if __name__ == "__main__":
    try:
        main()
    except HushtuneError as error:
        sys.exit(f"pii: {error}")
