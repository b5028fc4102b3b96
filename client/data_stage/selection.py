"""Choose among scrubbed records by steps that compare records; privacy/stability.py says what one record changes in each."""

import hmac
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from shared.config.run import RunConfig
from shared.records.types import Record, content

MINHASHES = 128
BANDS = 32
SHINGLE = 3


@dataclass(frozen=True)
class Owned:
    """A scrubbed record and its person, where that is known."""

    record: Record = field(repr=False)
    person: str | None = field(repr=False, default=None)


Step = Callable[[Sequence[Owned]], list[Owned]]


@dataclass(frozen=True)
class Curated:
    """The records that are left, and how many each step left out, by the config field of the step."""

    rows: Sequence[Owned] = field(repr=False)
    touched: dict[str, int]


def curate(rows: Sequence[Owned], config: RunConfig, key: bytes) -> Curated:
    """Drop exact duplicates, near duplicates and label conflicts, and cap each person's records; the order stays.

    Where the unit of privacy is the person, the first three steps read each person's records separately. A duplicate of
    another person's record stays: if it went, removing that person would bring it back.

    Parameters
    ----------
    rows
        Scrubbed records with their persons.
    config
        The run's config.
    key
        The site's secret; texts are compared by HMAC.
    """
    touched: dict[str, int] = {}
    for name, step in steps(config, key).items():
        kept = step(rows)
        touched[name] = len(rows) - len(kept)
        rows = kept
    return Curated(rows, touched)


def steps(config: RunConfig, key: bytes) -> dict[str, Step]:
    """Return the steps that a config asks for, in order."""
    cleaning, cap = config.cleaning, config.privacy.person_cap
    found: dict[str, Step] = {}
    if cleaning.exact_duplicates == "drop":
        found["cleaning.exact_duplicates"] = lambda rows: without_duplicates(rows, key)
    if cleaning.near_duplicates is not None:
        threshold = cleaning.near_duplicates
        found["cleaning.near_duplicates"] = lambda rows: without_near_duplicates(rows, threshold)
    if cleaning.label_conflicts == "drop":
        found["cleaning.label_conflicts"] = lambda rows: without_conflicts(rows, key)
    if config.privacy.unit == "person":
        found = {name: _within_persons(step) for name, step in found.items()}
    if cap is not None:
        found["privacy.person_cap"] = _within_persons(lambda rows: capped(rows, cap, key))
    return found


def without_duplicates(rows: Sequence[Owned], key: bytes) -> list[Owned]:
    """Return the first of the records that are the same in all that training sees: text, label, group.

    If less were compared, a record could take the place of another that trains differently, which moves a sum by two units.
    """
    first: dict[bytes, Owned] = {}
    for row in rows:
        first.setdefault(identity(row.record, key), row)
    return list(first.values())


def without_conflicts(rows: Sequence[Owned], key: bytes) -> list[Owned]:
    """Drop records that differ only in their target (label or tags), among all fields that training sees.

    After ``without_duplicates`` such a set has one record for each label. So a further record either stays, or is
    dropped and takes at most one other with it.
    """
    names = [identity(row.record, key, without=["label", "tags"]) for row in rows]
    targets: dict[bytes, set[object]] = defaultdict(set)
    for name, row in zip(names, rows, strict=True):
        targets[name].add((row.record.label, row.record.tags))
    return [row for name, row in zip(names, rows, strict=True) if len(targets[name]) == 1]


def without_near_duplicates(rows: Sequence[Owned], threshold: float) -> list[Owned]:
    """Return the records whose word triples are not too similar to those of an earlier record that is kept.

    The Jaccard similarity is estimated from 128 min-hashes (Broder 1997), for pairs that agree in one band.
    """
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold=threshold, num_perm=MINHASHES, num_bands=BANDS)
    kept: list[Owned] = []
    sketches: list[RMinHash] = []
    for row in rows:
        sketch = RMinHash(num_perm=MINHASHES, seed=1)
        sketch.update(shingles(row.record))
        if any(sketches[other].jaccard(sketch) >= threshold for other in index.query(sketch)):
            continue
        index.insert(len(kept), sketch)
        sketches.append(sketch)
        kept.append(row)
    return kept


def capped(rows: Sequence[Owned], cap: int, key: bytes) -> list[Owned]:
    """Return at most ``cap`` of one person's records: those with the smallest HMACs, an arbitrary but fixed choice."""
    chosen = sorted(range(len(rows)), key=lambda index: (identity(rows[index].record, key), index))[:cap]
    return [rows[index] for index in sorted(chosen)]


def identity(record: Record, key: bytes, without: Collection[str] = ()) -> bytes:
    """Return the HMAC-SHA256 of all of a scrubbed record that training sees, except the fields in ``without``."""
    return hmac.digest(key, content(record, without), "sha256")


def shingles(record: Record) -> list[str]:
    """Return a record's word triples, or all its words where it has fewer than three."""
    words = " ".join(record.fields.values()).casefold().split()
    if len(words) < SHINGLE:
        return words or [""]
    return [" ".join(words[start : start + SHINGLE]) for start in range(len(words) - SHINGLE + 1)]


def _within_persons(step: Step) -> Step:
    """Return the step applied to each person's records separately; the order of all records stays."""

    def apart(rows: Sequence[Owned]) -> list[Owned]:
        groups: dict[str | None, list[Owned]] = defaultdict(list)
        for row in rows:
            groups[row.person].append(row)
        kept = {id(row) for group in groups.values() for row in step(group)}
        return [row for row in rows if id(row) in kept]

    return apart
