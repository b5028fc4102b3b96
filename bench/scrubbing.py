"""Measure texts per second of the whole anonymiser and of Presidio's BatchAnalyzerEngine, alternating in one run.

Run: python -m bench.scrubbing FILE.jsonl. Both use the same language model. Presidio only detects, with its own
batch size of 1; our pipeline normalises, detects, replaces and checks again. Ratios are medians over turns: of processor
seconds in one process, and of wall-clock seconds in two processes (``n_process=2`` of Presidio, our own workers).
Heavy modules are imported inside the functions, because Presidio's worker processes may import the main module again.
"""

import json
import logging
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.table import parser_of, run_bench
from privacy.anonymise.pipeline import Anonymiser
from privacy.detect.levels import LEVELS
from privacy.detect.spacy_models import locate_models
from shared.config.anonymise import AnonymiseSection
from shared.records.types import RawRecord

TURNS = 3
# Enough texts, so that the start of processes, which takes seconds, does not dominate.
PARALLEL = 12_000
Work = Callable[[], object]


def one_process(texts: Sequence[str], turns: int) -> list[dict[str, Any]]:
    """Measure processor seconds of each level against Presidio's: medians over turns in which each reads all texts."""
    from privacy.anonymise.scrubber import LanguageScrubber
    from privacy.leakage.residual import StockPresidio

    folder = locate_models(AnonymiseSection())["en"]
    records = [RawRecord({"text": text}, None, place) for place, text in enumerate(texts, start=1)]
    presidio = StockPresidio(folder, "en", batch_size=1)
    work: dict[str, Work] = {"Presidio": lambda: presidio.detect(texts)}
    for level in LEVELS:
        scrubber = LanguageScrubber(AnonymiseSection(level=level), folder)
        work[level] = lambda scrubber=scrubber: scrubber.examine(records)  # type: ignore[misc]
    for begin in work.values():
        begin()
    return _rows(len(texts), work, turns, time.process_time)


def two_processes(texts: Sequence[str], turns: int) -> list[dict[str, Any]]:
    """Measure seconds of the standard level with one worker and with two, starts included, against Presidio's own two."""
    from privacy.leakage.residual import StockPresidio

    records = [RawRecord({"text": text}, None, place) for place, text in enumerate(texts, start=1)]
    presidio = StockPresidio(locate_models(AnonymiseSection())["en"], "en", batch_size=1, processes=2)
    work: dict[str, Work] = {"Presidio, 2 processes": lambda: presidio.detect(texts)}
    for workers in (1, 2):
        anonymiser = Anonymiser(AnonymiseSection(workers=workers))
        work[f"standard, {workers} of ours"] = lambda anonymiser=anonymiser: anonymiser.scrub(records)  # type: ignore[misc]
    return _rows(len(texts), work, turns, time.perf_counter)


def _rows(texts: int, work: dict[str, Work], turns: int, clock: Callable[[], float]) -> list[dict[str, Any]]:
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(turns):
        for name, begin in work.items():
            start = clock()
            begin()
            seconds[name].append(clock() - start)
    first = next(iter(work))
    return [
        {
            "pipeline": name,
            "texts_a_second": round(texts / statistics.median(spent), 1),
            "ratio": round(statistics.median(a / b for a, b in zip(seconds[first], spent, strict=True)), 2),
        }
        for name, spent in seconds.items()
    ]


def main() -> None:
    """Measure and print."""
    from privacy.leakage.labelled import read_labelled

    parser = parser_of(__doc__, as_json=True)
    parser.add_argument("file", type=Path, help="labelled texts, JSON lines")
    parser.add_argument("--turns", type=int, default=TURNS, help="turns of each pipeline")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    texts = [text for text, _ in read_labelled(arguments.file)]
    many = (texts * (PARALLEL // len(texts) + 1))[:PARALLEL]
    rows = [*one_process(texts, arguments.turns), *two_processes(many, 1)]
    if arguments.json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=100).print(table)


if __name__ == "__main__":
    run_bench(main)
