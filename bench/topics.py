"""Measure what anonymisation costs where the label hangs on the words of a domain: the field of medical questions.

Run: python -m bench.topics bench/topics.toml FOLDER [--seconds 400] [--seeds 3] [--way NAME]. FOLDER has MedQuAD's files,
JSON lines with ``focus``, ``qtype`` and ``question``. The label of a question is the field of the institute that answers
it: cancer, genes, digestion and kidneys, or nerves. Only two kinds of questions are read, which all four institutes have in
the same words ("What is (are) X ?", "What are the treatments for X ?"), so nothing but the name of the disease tells the
label; and no disease has a question on both sides of the split. The way "no subject" shows what is left without that name.
Finished trainings are kept, so a measurement that was stopped, or that ``--seconds`` ended, resumes.
"""

import copy
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.table import parser_of, print_rows, run_bench
from client.data_stage.site_data import SiteData
from privacy.accounting import Accountant
from privacy.anonymise.polyglot import Polyglot
from privacy.anonymise.scrubbed import Quarantined, Scrubbed
from privacy.detect.findings import Finding, merge
from privacy.detect.spacy_models import locate_models
from privacy.leakage.residual import StockPresidio
from shared.config.anonymise import AnonymiseSection
from shared.config.run import RunConfig
from shared.config.toml import read_toml
from shared.errors import DataError
from shared.metrics.bootstrap import mean
from shared.records.types import RawRecord, Record
from simulations.data.partition import split_held_out
from simulations.planning import site_plans
from simulations.studies.bare_rounds import BareFederation

FIELDS = {"cancergov": "cancer", "ghr": "genes", "niddk": "digestion and kidneys", "ninds": "nerves"}
KINDS = ("information", "treatment")
EPSILONS = (None, 8.0)
Texts = Sequence[str | None]


def questions(folder: Path) -> list[RawRecord]:
    """Read the questions of the four institutes, each once; the subject takes the place of the person.

    Raises
    ------
    DataError
        A file is missing or is no file of MedQuAD.
    """
    found: dict[str, RawRecord] = {}
    for name, label in FIELDS.items():
        path = folder / f"{name}.jsonl"
        try:
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            for row in (row for row in rows if row["qtype"] in KINDS):
                record = RawRecord({"text": row["question"]}, label, len(found) + 1, person=row["focus"])
                found.setdefault(row["question"], record)
        except (OSError, ValueError, KeyError, TypeError):
            raise DataError(f"{path}: is no file of MedQuAD; give the folder with its JSON lines") from None
    return list(found.values())


def as_it_is(records: Sequence[RawRecord]) -> Texts:
    """Return the texts unchanged."""
    return [record.fields["text"] for record in records]


def without_subject(records: Sequence[RawRecord]) -> Texts:
    """Return the texts with "it" in place of their subject."""
    return [
        re.sub(r"What (is \(are\)|are the treatments for) .*", r"What \1 it ?", record.fields["text"]) for record in records
    ]


def stock(records: Sequence[RawRecord]) -> Texts:
    """Return the texts as Presidio with its own settings leaves them."""
    texts = [record.fields["text"] for record in records]
    presidio = StockPresidio(locate_models(AnonymiseSection())["en"], "en")
    return [replaced(text, found) for text, found in zip(texts, presidio.detect(texts), strict=True)]


def replaced(text: str, findings: Sequence[Finding]) -> str:
    """Return a text with its findings as plain tags, such as <PERSON>, as Presidio's anonymiser writes them."""
    for finding in reversed(merge(text, findings)):
        text = f"{text[: finding.start]}<{finding.label}>{text[finding.end :]}"
    return text


def ours(section: AnonymiseSection) -> Callable[[Sequence[RawRecord]], Texts]:
    """Return our anonymiser; it returns None for a text that it holds back."""

    def scrub(records: Sequence[RawRecord]) -> Texts:
        done = Polyglot(section, b"a key for measuring only").examine([replace(each, person=None) for each in records])
        return [None if isinstance(each, Quarantined) else each.record.fields["text"] for each in done]

    return scrub


WAYS: Mapping[str, Callable[[Sequence[RawRecord]], Texts]] = {
    "raw": as_it_is,
    "stock Presidio": stock,
    "standard, domain = []": ours(AnonymiseSection(domain=[])),
    "standard": ours(AnonymiseSection()),
    "no subject": without_subject,
}


@dataclass(frozen=True)
class Cell:
    """One training: a way of anonymising, with or without privacy, and a seed."""

    way: str
    epsilon: float | None
    seed: int
    config: RunConfig
    texts: Mapping[int, str | None]

    @property
    def key(self) -> str:
        """Return the digest of everything that the cell depends on."""
        texts = json.dumps(sorted(self.texts.items()))
        return hashlib.sha256(f"{self.config.digest()}:{texts}".encode()).hexdigest()


def cells(file: Path, records: Sequence[RawRecord], seeds: int, ways: Sequence[str]) -> Iterator[Cell]:
    """Yield every cell of a config; those that share records follow each other."""
    tree = read_toml(file)
    for way in ways:
        texts = {record.position: text for record, text in zip(records, WAYS[way](records), strict=True)}
        for seed in range(seeds):
            for epsilon in EPSILONS:
                given = copy.deepcopy(tree)
                given["run"]["seed"] += seed
                given["privacy"] |= {"enabled": False} if epsilon is None else {"epsilon": epsilon}
                yield Cell(way, epsilon, seed, RunConfig.parse(given, f"{file}, {way}"), texts)


def data_of(cell: Cell, records: Sequence[RawRecord]) -> list[SiteData]:
    """Return the records of each site; what was held back is left out."""
    sections, config = cell.config.data.sites, cell.config
    dealt = [records[at :: len(sections)] for at in range(len(sections))]
    halves = [split_held_out(each, config.data.held_out, config.run.seed) for each in dealt]
    return [
        SiteData(section, training, _scrubbed(training, cell.texts), _scrubbed(held_out, cell.texts))
        for section, (training, held_out) in zip(sections, halves, strict=True)
    ]


def _scrubbed(records: Sequence[RawRecord], texts: Mapping[int, str | None]) -> Scrubbed:
    pairs = [(record, texts[record.position]) for record in records]
    return Scrubbed(tuple(Record({"text": text}, r.label, r.position) for r, text in pairs if text is not None))


def train(every: Iterable[Cell], records: Sequence[RawRecord], kept: Path, seconds: float) -> list[dict[str, Any]]:
    """Train the cells that are missing until the time is used up, and return a row for each way and epsilon."""
    end, accountant, done = time.monotonic() + seconds, Accountant(), _finished(kept)
    found: dict[tuple[str, float | None], list[str]] = {}
    shared: tuple[tuple[str, int], BareFederation] | None = None
    for cell in every:
        if cell.key not in done and time.monotonic() < end:
            if shared is None or shared[0] != (cell.way, cell.seed):
                shared = None  # before the next one takes memory
                shared = (cell.way, cell.seed), BareFederation.of(cell.config, data_of(cell, records))
            outcome = shared[1].outcome(cell.config, site_plans(cell.config, accountant))
            hits = "".join(map(str, (1 - outcome.damage()).astype(int).tolist()))
            done[cell.key] = hits
            with kept.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"key": cell.key, "hits": hits}) + "\n")
        if cell.key in done:
            found.setdefault((cell.way, cell.epsilon), []).append(done[cell.key])
    return [_row(way, epsilon, hits) for (way, epsilon), hits in found.items()]


def _finished(kept: Path) -> dict[str, str]:
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    return {row["key"]: row["hits"] for row in map(json.loads, lines)}


def _row(way: str, epsilon: float | None, hits: Sequence[str]) -> dict[str, Any]:
    right = np.array([int(hit) for each in hits for hit in each], dtype=np.float64)
    return {
        "texts": way,
        "epsilon": epsilon,
        "accuracy": asdict(mean("accuracy", right).interval(1000, 0.95, 0)),
        "seeds": len(hits),
        "by seed": " ".join(f"{each.count('1') / len(each):.3f}" for each in hits),
        "held-out texts": len(right) // len(hits),
    }


def main() -> None:
    """Train what is missing, and print the rows."""
    parser = parser_of(__doc__, as_json=True)
    parser.add_argument("config", type=Path, help="the run's TOML file")
    parser.add_argument("folder", type=Path, help="the folder with MedQuAD's files")
    parser.add_argument("--kept", type=Path, default=Path("runs/topics.jsonl"), help="file that keeps finished trainings")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no other training after this time")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each row")
    parser.add_argument("--way", action="append", choices=tuple(WAYS), help="only these texts; may be repeated")
    arguments = parser.parse_args()
    arguments.kept.parent.mkdir(parents=True, exist_ok=True)
    records = questions(arguments.folder)
    every = cells(arguments.config, records, arguments.seeds, arguments.way or tuple(WAYS))
    print_rows(train(every, records, arguments.kept, arguments.seconds), arguments.json)


if __name__ == "__main__":
    run_bench(main)
