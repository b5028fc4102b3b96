"""Measure recall, precision and speed of our levels and of Presidio with its defaults, on one file of labelled texts.

python -m bench.pii FILE.jsonl [--perturb] [--json]
"""

import json
import logging
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.table import parser_of, run_bench
from privacy.detect.levels import LEVELS
from privacy.leakage.comparison import STOCK, Detector, ours, stock
from privacy.leakage.labelled import Texts, read_labelled
from privacy.leakage.score import leak_score
from privacy.leakage.span_evaluator import is_installed, span_scores
from shared.config.anonymise import AnonymiseSection
from shared.records.types import Span


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
    detect = _level(level)
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


def _level(level: str) -> Detector:
    return ours(AnonymiseSection.model_validate({"level": level}))


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
    parser = parser_of(__doc__, as_json=True)
    parser.add_argument("file", type=Path, help="labelled texts, JSON lines")
    parser.add_argument("--perturb", action="store_true", help="recall under perturbations instead")
    parser.add_argument("--level", default="strict", choices=sorted(LEVELS), help="level of the perturbation table")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    texts = read_labelled(arguments.file)
    detectors: list[tuple[str, Callable[[], Detector]]] = [
        (STOCK, lambda: stock(AnonymiseSection(), batch_size=1)),
        *((level, partial(_level, level)) for level in LEVELS),
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
    run_bench(main)
