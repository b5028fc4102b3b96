"""The sites of a simulated federation: their files, their scrubbed and chosen records, their ledgers and budgets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from client.admission import admit
from client.data_stage.augmentation.paraphrases import paraphrase
from client.data_stage.cache import Cache
from client.data_stage.cleaning import clean
from client.data_stage.preparation import prepare, scrub
from privacy.accounting import Accountant
from privacy.anonymise.scrubbed import Scrubbed
from privacy.budget import Budget, Limit
from privacy.fingerprint import Dataset
from privacy.ledger import Ledger
from shared.config.anonymise import GateSection
from shared.config.data import SiteSection
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.records.read import read_records
from shared.records.types import RawRecord
from shared.text.perturbation import Wordings
from simulations.data.partition import split_held_out
from simulations.data.synthetic import write_sites
from simulations.progress import Progress


@dataclass(frozen=True)
class SiteData:
    """A site's scrubbed records, the share of them that is held out, and the raw ones, which its ledger knows.

    ``persons`` says whose each training record is, where that is known; ``touched`` counts what each step of the data
    stage changed or left out; ``groups`` are the declared groups of held-out records, by position; ``wordings`` are what a
    model wrote of training texts.
    """

    section: SiteSection
    raw: Sequence[RawRecord] = field(repr=False)
    training: Scrubbed = field(repr=False)
    held_out: Scrubbed = field(repr=False)
    persons: Sequence[str] = field(repr=False, default=())
    touched: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[int, str] = field(repr=False, default_factory=dict)
    wordings: Mapping[str, Wordings] = field(repr=False, default_factory=dict)


def read_sites(config: RunConfig, folder: Path, labelled: bool = True) -> Mapping[str, list[RawRecord]]:
    """Each site's raw records, generated into ``folder`` first when the source is synthetic."""
    root = config.data.root
    if config.data.source == "sites":
        raise ConfigError("data.source = 'sites': the records are at real sites; start hushtune server, or name files")
    if config.data.source == "synthetic":
        root = folder / "data"
        root.mkdir(parents=True, exist_ok=True)
        write_sites(root, config.data.sites, config.run.seed, config.data.planted_bias)
    return {site.id: read_records(root / (site.file or f"{site.id}.jsonl"), config, labelled) for site in config.data.sites}


def scrub_sites(
    config: RunConfig, raw: Mapping[str, Sequence[RawRecord]], folder: Path, progress: Progress
) -> list[SiteData]:
    """Clean and anonymise each site's records apart, and choose among the training ones; the others are only scrubbed.

    Raises:
        GateFailed: the config has a gate, and the anonymisation of a site does not pass it.
    """
    sites = config.data.sites
    cleaned = [clean(raw[site.id], config.cleaning) for site in sites]
    parts = [split_held_out(found.records, config.data.held_out, config.run.seed) for found in cleaned]
    groups = [part for pair in parts for part in pair]
    caches = [cache for site in sites for cache in _caches(config, site, folder)]
    if config.gate is not None:
        _admit(config, config.gate, [found.records for found in cleaned], caches)
    progress.stage("anonymise", sum(len(group) for group in groups))
    scrubbed = scrub(config.anonymise, groups, caches, progress.advance)
    data = []
    for index, site in enumerate(sites):
        training, measured = parts[index]
        chosen = prepare(scrubbed[2 * index], training, config, site_ledger(config, site, folder).key)
        touched = cleaned[index].touched | chosen.touched
        declared = {record.position: record.group for record in measured if record.group is not None}
        data.append(SiteData(site, training, chosen.scrubbed, scrubbed[2 * index + 1], chosen.persons, touched, declared))
    return _paraphrased(config, data, caches[::2], progress)


def _paraphrased(config: RunConfig, data: Sequence[SiteData], caches: Sequence[Cache], progress: Progress) -> list[SiteData]:
    """The sites' data with what a model wrote of each training text, and how much of it was kept."""

    def staged(name: str, total: int) -> Callable[[int], None]:
        progress.stage(name, total)
        return progress.advance

    written = paraphrase(config, [site.training.records for site in data], caches, staged)
    return [
        replace(site, wordings=own.wordings, touched={**site.touched, **own.counts})
        for site, own in zip(data, written, strict=True)
    ]


def _admit(config: RunConfig, gate: GateSection, cleaned: Sequence[Sequence[RawRecord]], caches: Sequence[Cache]) -> None:
    """Ask each site's records to pass the gate, as a real site asks its own before it joins."""
    for index, (site, records) in enumerate(zip(config.data.sites, cleaned, strict=True)):
        admit(gate, config.anonymise, records, site.id, *caches[2 * index : 2 * index + 1])


def _caches(config: RunConfig, site: SiteSection, folder: Path) -> list[Cache]:
    """The cache of a site's training and held-out records, if the config asks for one."""
    if config.data.cache is None:
        return []
    key = site_ledger(config, site, folder).key if config.data.cache_encrypted else None
    return [Cache(config.data.cache / site.id, key)] * 2


def site_ledger(config: RunConfig, site: SiteSection, folder: Path) -> Ledger:
    """A site's ledger: in the folder that the config names, or in the run's own."""
    return Ledger((config.privacy.ledger or folder / "ledger") / site.id, site.id)


def site_budget(config: RunConfig, data: SiteData, folder: Path, accountant: Accountant) -> Budget:
    """A site's budget for its training records."""
    site, privacy = data.section, config.privacy
    ledger = site_ledger(config, site, folder)
    dataset = Dataset.of(data.raw, ledger.key, by_person=privacy.unit == "person")
    limit = Limit(privacy.budget or privacy.epsilon, privacy.delta_at(site.declared_size))
    return Budget(ledger, dataset, limit, accountant=accountant)
