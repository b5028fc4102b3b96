"""Scrub raw records, through the cache where there is one, and choose the records that train."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from client.data_stage.cache import Cache
from client.data_stage.selection import Owned, curate
from privacy.anonymise.pipeline import Anonymiser
from privacy.anonymise.scrubbed import Scrubbed
from shared.config.run import RunConfig
from shared.records.types import RawRecord, Record


@dataclass(frozen=True)
class ChosenRecords:
    """Scrubbed records that may train, the person of each (empty without a person column), and what each step left out."""

    scrubbed: Scrubbed = field(repr=False)
    persons: Sequence[str] = field(repr=False, default=())
    touched: dict[str, int] = field(default_factory=dict)


def scrub(
    anonymiser: Anonymiser,
    groups: Sequence[Sequence[RawRecord]],
    caches: Sequence[Cache] = (),
    progress: Callable[[int], None] | None = None,
) -> list[Scrubbed]:
    """Scrub groups of records; a group that is in its cache is read from there, any other is scrubbed and stored there.

    Parameters
    ----------
    anonymiser
        Scrubs the records.
    groups
        Raw records of some sites.
    caches
        A cache for each group, or none at all.
    progress
        Called with the number of records done since the last call.

    Returns
    -------
    list of Scrubbed
        One result for each group, in order.

    Raises
    ------
    ModelError, RunError
        A language model cannot be loaded, or a worker process died.
    DataError
        A cache cannot be written.
    """
    if not caches:
        return anonymiser.scrub_groups(groups, progress)
    return _through_caches(anonymiser, groups, caches, progress)


def _through_caches(
    anonymiser: Anonymiser,
    groups: Sequence[Sequence[RawRecord]],
    caches: Sequence[Cache],
    progress: Callable[[int], None] | None,
) -> list[Scrubbed]:
    """Scrub only the groups that are not in their cache."""
    names = [cache.name(group, anonymiser.section) for group, cache in zip(groups, caches, strict=True)]
    found = [cache.get(name) for name, cache in zip(names, caches, strict=True)]
    missing = [index for index, known in enumerate(found) if known is None]
    for index, fresh in zip(missing, anonymiser.scrub_groups([groups[i] for i in missing], progress), strict=True):
        caches[index].put(names[index], fresh)
        found[index] = fresh
    if progress:
        progress(sum(len(group) for index, group in enumerate(groups) if index not in missing))
    return [scrubbed for scrubbed in found if scrubbed is not None]


def prepare(scrubbed: Scrubbed, raw: Sequence[RawRecord], config: RunConfig, key: bytes) -> ChosenRecords:
    """Choose among scrubbed records as the config asks.

    Parameters
    ----------
    scrubbed
        The scrubbed records of a site.
    raw
        The raw records, for the persons and groups of the scrubbed ones.
    config
        The run's config.
    key
        The site's secret for HMACs of texts.
    """
    persons = {record.position: record.person for record in raw}
    records: Sequence[Record] = scrubbed.records
    if config.adversary is not None:  # only the adversary reads groups, so other runs never see them
        groups = {record.position: record.group for record in raw}
        # set before curation, because deduplication compares groups too
        records = [replace(record, group=groups[record.position]) for record in records]
    chosen = curate([Owned(record, persons.get(record.position)) for record in records], config, key)
    known = [row.person for row in chosen.rows if row.person is not None]
    return ChosenRecords(replace(scrubbed, records=tuple(row.record for row in chosen.rows)), known, chosen.touched)
