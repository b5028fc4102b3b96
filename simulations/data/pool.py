"""Deal the records of one pooled file out to the sites of a simulation: at random, by label, or by a column.

The split by label is that of Hsu, Qi and Brown (2019, arXiv 1909.06335, section 3.1): a site draws its shares of the labels
from a Dirichlet distribution around the shares in the pool, and then its records, without replacement. With a small
``alpha`` most records of a site have one of a few labels; with a large ``alpha`` each site resembles the pool.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.config.data import SiteSection
from shared.config.run import RunConfig
from shared.errors import DataError
from shared.records.flatten import as_text
from shared.records.rows import rows_of
from shared.records.types import RawRecord
from shared.seeds import stream

Unit = Sequence[RawRecord]  # one record, or all records of one person, which stay at one site
Ints = npt.NDArray[np.int64]


def deal(path: Path, records: Sequence[RawRecord], config: RunConfig) -> dict[str, list[RawRecord]]:
    """Deal records out to the sites, as ``data.split`` says.

    Parameters
    ----------
    path
        The pooled file, whose rows have the positions of the records.
    records
        Its records.
    config
        The run's config.

    Returns
    -------
    dict
        Each site's records, in the order of the file.

    Raises
    ------
    DataError
        A site would have no record, the pool holds fewer than the sites ask for, or a value of the column names no site.
    """
    kind, detail = config.data.dealing
    if kind == "by":
        chosen = _by_column(path, records, config, detail)
    else:
        units = _units(records)
        sizes = _sizes(path, len(units), config.data.sites)
        draw = stream(config.run.seed if config.data.split_seed is None else config.data.split_seed, "pool")
        units = [units[index] for index in draw.permutation(len(units))]
        parts = _in_turn(sizes) if kind == "iid" else _dirichlet(units, sizes, float(detail), draw)
        chosen = [[record for index in part for record in units[index]] for part in parts]
    for site, own in zip(config.data.sites, chosen, strict=True):
        if not own:
            raise DataError(f"{path}: site '{site.id}' gets no record; set fewer sites, or another data.split")
    pairs = zip(config.data.sites, chosen, strict=True)
    return {site.id: sorted(own, key=lambda record: record.position) for site, own in pairs}


def _units(records: Sequence[RawRecord]) -> list[Unit]:
    """Return the records of each person together; a record without a person stands alone."""
    units: dict[object, list[RawRecord]] = defaultdict(list)
    for record in records:
        units[record.position if record.person is None else record.person].append(record)
    return list(units.values())


def _sizes(path: Path, units: int, sites: Sequence[SiteSection]) -> list[int]:
    """Return each site's number of units: its ``records``, or a share of all units in proportion to its declared size."""
    if any(site.records for site in sites):
        sizes = [site.records for site in sites]
        if sum(sizes) > units:
            raise DataError(f"{path}: has {units} records (or persons), and data.sites ask for {sum(sizes)}; lower records")
        return sizes
    weights = np.cumsum([site.declared_size for site in sites])
    ends = [0, *(round(units * float(weight) / float(weights[-1])) for weight in weights)]
    return [end - start for start, end in pairwise(ends)]


def _in_turn(sizes: Sequence[int]) -> Iterator[range]:
    return (range(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True))


def _dirichlet(units: Sequence[Unit], sizes: Sequence[int], alpha: float, draw: np.random.Generator) -> Iterator[list[int]]:
    """Yield the indices of each site's units, whose labels are drawn from the site's own distribution of labels."""
    by_label: dict[str, list[int]] = defaultdict(list)
    for index, unit in enumerate(units):
        by_label[Counter(str(record.label) for record in unit).most_common(1)[0][0]].append(index)
    stacks = [by_label[label] for label in sorted(by_label)]
    prior = np.array([len(stack) for stack in stacks]) / len(units)
    for size in sizes:
        left = np.array([len(stack) for stack in stacks])
        counts = _counts(draw.dirichlet(alpha * prior), left, size, draw)
        yield [stack.pop() for stack, count in zip(stacks, counts, strict=True) for _ in range(count)]


def _counts(shares: npt.NDArray[np.float64], left: Ints, size: int, draw: np.random.Generator) -> Ints:
    """Draw how many of ``size`` units have each label, at most those left; if a label runs out, others take its part."""
    counts = np.zeros_like(left)
    while (needed := size - int(counts.sum())) > 0:
        open_shares = np.where(counts < left, shares, 0)
        if open_shares.sum() <= 0:  # all labels with a share have run out
            open_shares = (left - counts).astype(np.float64)
        drawn = draw.multinomial(needed, open_shares / open_shares.sum())
        counts += np.minimum(drawn, left - counts)
    return counts


def _by_column(path: Path, records: Sequence[RawRecord], config: RunConfig, column: str) -> list[list[RawRecord]]:
    """Return each site's records by the values of a column.

    If any value spells the id of a site, each record goes to the site that its value spells. Otherwise the values are dealt
    out with all their records, the most frequent first, each to the site with the fewest records so far.
    """
    values = [as_text(row.values.get(column)) for row in rows_of(path, {column})]
    groups: dict[str, list[RawRecord]] = defaultdict(list)
    for record in records:
        groups[_spelt(values[record.position - 1])].append(record)
    if "" in groups:
        raise DataError(
            f"{path}, record {groups[''][0].position}: no value in column '{column}', which data.split needs; fill it "
            "in, or drop the record"
        )
    chosen: Mapping[str, list[RawRecord]] = {site.id: [] for site in config.data.sites}
    if not set(groups) & set(chosen):
        for value in sorted(groups, key=lambda value: (-len(groups[value]), value)):
            min(chosen.values(), key=len).extend(groups[value])
    elif unknown := set(groups) - set(chosen):
        place = groups[min(unknown)][0].position
        raise DataError(
            f"{path}, record {place}: its '{column}' names no site of data.sites; add the site, or drop the record"
        )
    else:
        for value, own in groups.items():
            chosen[value].extend(own)
    return list(chosen.values())


def _spelt(value: str) -> str:
    """Return a value in the form of a site's id: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", value.casefold()).strip("-")
