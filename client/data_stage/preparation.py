"""From raw records to what trains: scrubbed, through the cache where there is one, and then chosen among."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from client.data_stage.cache import Cache
from client.data_stage.selection import Owned, curate
from privacy.anonymise.pipeline import Anonymiser
from privacy.anonymise.scrubbed import Scrubbed
from shared.config.anonymise import AnonymiseSection
from shared.config.run import RunConfig
from shared.records.types import RawRecord, Record


@dataclass(frozen=True)
class Prepared:
    """Scrubbed records that may train, whose each is (empty where no column says so), and what each step left out."""

    scrubbed: Scrubbed = field(repr=False)
    persons: Sequence[str] = field(repr=False, default=())
    touched: dict[str, int] = field(default_factory=dict)


def scrub(
    section: AnonymiseSection,
    groups: Sequence[Sequence[RawRecord]],
    caches: Sequence[Cache] = (),
    progress: Callable[[int], None] | None = None,
    key: bytes | None = None,
) -> list[Scrubbed]:
    """Scrub groups of records; those that a group's cache has are taken from it, the others are put there.

    ``key`` is the site's own, for its surrogates; without one they are of a key that nobody keeps.

    Raises:
        ModelError, RunError: as the anonymiser.
        DataError: a cache cannot be written.
    """
    anonymiser = Anonymiser(section, key)
    if not caches:
        return anonymiser.scrub_groups(groups, progress)
    names = [cache.name(group, section) for group, cache in zip(groups, caches, strict=True)]
    found = [cache.get(name) for name, cache in zip(names, caches, strict=True)]
    missing = [index for index, known in enumerate(found) if known is None]
    for index, fresh in zip(missing, anonymiser.scrub_groups([groups[i] for i in missing], progress), strict=True):
        caches[index].put(names[index], fresh)
        found[index] = fresh
    if progress:
        progress(sum(len(group) for index, group in enumerate(groups) if index not in missing))
    return [scrubbed for scrubbed in found if scrubbed is not None]


def prepare(scrubbed: Scrubbed, raw: Sequence[RawRecord], config: RunConfig, key: bytes) -> Prepared:
    """Choose among scrubbed records as the config asks; ``key`` is the site's own, for HMACs of texts."""
    persons = {record.position: record.person for record in raw}
    records: Sequence[Record] = scrubbed.records
    if config.adversary is not None:  # nothing else at a site reads a group
        groups = {record.position: record.group for record in raw}
        records = [replace(record, group=groups[record.position]) for record in records]  # before any are compared
    chosen = curate([Owned(record, persons.get(record.position)) for record in records], config, key)
    known = [row.person for row in chosen.rows if row.person is not None]
    return Prepared(replace(scrubbed, records=tuple(row.record for row in chosen.rows)), known, chosen.touched)
