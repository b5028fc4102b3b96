"""Turn the raw records of sites into training records: clean, gate, scrub, choose, paraphrase.

Real and simulated sites use the same function. For several sites at once, worker processes are started and the paraphraser
is loaded only once; records of different sites are never compared.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from client.admission import admit
from client.data_stage.augmentation.paraphrases import paraphrase
from client.data_stage.cache import Cache
from client.data_stage.cleaning import clean
from client.data_stage.preparation import prepare, scrub
from privacy.anonymise.pipeline import Anonymiser
from privacy.anonymise.scrubbed import Scrubbed
from shared.config.anonymise import GateSection
from shared.config.data import SiteSection
from shared.config.run import RunConfig
from shared.ops.progress import Progress
from shared.records.types import RawRecord
from shared.text.perturbation import Wordings

Divide = Callable[[Sequence[RawRecord]], Sequence[Sequence[RawRecord]]]


@dataclass(frozen=True)
class Source:
    """What one site brings to a run.

    Attributes
    ----------
    section
        The site's name and its declared size.
    raw
        All records of the site, as read.
    key
        The secret of the site's ledger, for HMACs of texts.
    cache
        Keeps scrubbed records; None keeps nothing.
    """

    section: SiteSection
    raw: Sequence[RawRecord] = field(repr=False)
    key: bytes = field(repr=False)
    cache: Cache | None = None


@dataclass(frozen=True)
class SiteData:
    """A site's scrubbed records, with their persons, groups, counts and paraphrases.

    Attributes
    ----------
    section
        The site's name and its declared size.
    raw
        The raw records behind ``training``, after cleaning.
    training, held_out
        Scrubbed records that train, and those that only evaluate (a real site has none).
    persons
        The person of each training record; empty without a person column.
    touched
        How many records each step of the data stage changed or left out.
    groups
        Declared groups of held-out records, by position.
    wordings
        Paraphrases of each training text.
    """

    section: SiteSection
    raw: Sequence[RawRecord] = field(repr=False)
    training: Scrubbed = field(repr=False)
    held_out: Scrubbed = field(repr=False, default_factory=Scrubbed)
    persons: Sequence[str] = field(repr=False, default=())
    touched: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[int, str] = field(repr=False, default_factory=dict)
    wordings: Mapping[str, Wordings] = field(repr=False, default_factory=dict)


def all_train(records: Sequence[RawRecord]) -> Sequence[Sequence[RawRecord]]:
    """Return all records as the training part; nothing is held out."""
    return (records,)


def prepare_sites(
    config: RunConfig,
    sources: Sequence[Source],
    gate: GateSection | None,
    anonymiser: Anonymiser | None,
    progress: Progress,
    divide: Divide = all_train,
) -> list[SiteData]:
    """Turn each site's raw records into its training records.

    Parameters
    ----------
    config
        The run, with the site's own settings.
    sources
        The sites.
    gate
        Thresholds that the anonymisation must reach on each site's records; None skips the check.
    anonymiser
        Scrubs the records; None makes one, with a random secret for surrogates.
    progress
        Called at the start of the stages ``assess``, ``anonymise`` and ``paraphrase``.
    divide
        Divides cleaned records into those that train and, second, those that are held out.

    Raises
    ------
    GateFailed
        The anonymisation of a site does not pass the gate.
    ModelError, RunError, DataError
        A model cannot be loaded, a worker process died, or a cache cannot be written.
    """
    cleaned = [clean(source.raw, config.cleaning) for source in sources]
    caches = [[source.cache] if source.cache else [] for source in sources]
    if gate is not None:
        progress("assess", 0)
        for source, found, cache in zip(sources, cleaned, caches, strict=True):
            admit(gate, config.anonymise, found.records, source.section.id, *cache)
    parts = [divide(found.records) for found in cleaned]
    scrubbed = _scrubbed(config, parts, caches, anonymiser or Anonymiser(config.anonymise), progress)
    data = []
    for source, found, raw, done in zip(sources, cleaned, parts, scrubbed, strict=True):
        chosen = prepare(done[0], raw[0], config, source.key)
        groups = {record.position: record.group for part in raw[1:] for record in part if record.group is not None}
        held_out = done[1] if len(done) > 1 else Scrubbed()
        touched = found.touched | chosen.touched
        data.append(SiteData(source.section, raw[0], chosen.scrubbed, held_out, chosen.persons, touched, groups))
    written = paraphrase(
        config, [site.training.records for site in data], [own for cache in caches for own in cache], progress
    )
    return [
        replace(site, wordings=own.wordings, touched={**site.touched, **own.counts})
        for site, own in zip(data, written, strict=True)
    ]


def _scrubbed(
    config: RunConfig,
    parts: Sequence[Sequence[Sequence[RawRecord]]],
    caches: Sequence[Sequence[Cache]],
    anonymiser: Anonymiser,
    progress: Progress,
) -> list[list[Scrubbed]]:
    """Scrub every part of every site; the worker processes start only once."""
    groups = [group for site in parts for group in site]
    each = [cache for site, own in zip(parts, caches, strict=True) for cache in own for _ in site]
    done = iter(scrub(anonymiser, groups, each, progress("anonymise", sum(map(len, groups)))))
    return [[next(done) for _ in site] for site in parts]
