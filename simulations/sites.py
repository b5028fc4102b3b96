"""Set up the sites of a simulated federation: their files, scrubbed records, ledgers and budgets."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from client.data_stage.cache import Cache
from client.data_stage.site_data import SiteData, Source, prepare_sites
from privacy.accounting import Accountant
from privacy.anonymise.pipeline import Anonymiser
from privacy.budget import Budget, Limit
from privacy.fingerprint import Dataset
from privacy.ledger import Ledger
from shared.config.data import SiteSection
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.ops.progress import Progress, silent
from shared.records.read import read_records
from shared.records.types import RawRecord
from simulations.data.partition import split_held_out
from simulations.data.pool import deal
from simulations.data.synthetic import write_sites


def read_sites(config: RunConfig, folder: Path, labelled: bool = True) -> Mapping[str, list[RawRecord]]:
    """Read each site's raw records; a synthetic source is first generated into ``folder``.

    Parameters
    ----------
    config
        The run's config.
    folder
        Folder for generated records.
    labelled
        Whether every record must have a label.
    """
    root = config.data.root
    if config.data.source == "sites":
        raise ConfigError("data.source = 'sites': the records are at real sites; start hushtune server, or name files")
    if config.data.source == "synthetic":
        root = folder / "data"
        root.mkdir(parents=True, exist_ok=True)
        write_sites(root, config.data.sites, config.run.seed, config.data.planted_bias, config.task.labels)
    if config.data.pool is not None:
        pool = root / config.data.pool
        return deal(pool, read_records(pool, config, labelled), config)
    return {site.id: read_records(root / (site.file or f"{site.id}.jsonl"), config, labelled) for site in config.data.sites}


def scrub_sites(
    config: RunConfig,
    raw: Mapping[str, Sequence[RawRecord]],
    folder: Path,
    progress: Progress = silent,
    anonymiser: Anonymiser | None = None,
) -> list[SiteData]:
    """Run the data stage on the raw records of all sites.

    A share of each site's records is held out and only scrubbed, unless the run has a test file of its own.

    Parameters
    ----------
    config
        The run's config.
    raw
        Each site's raw records.
    folder
        The run's folder, for ledgers.
    progress
        Called at the start of each stage.
    anonymiser
        Scrubs the records; None makes one.

    Raises
    ------
    GateFailed
        The config has a gate, and the anonymisation of a site does not pass it.
    """
    if config.evaluation.file is not None:
        read_records(config.evaluation.file, config)  # so that a bad test file is refused before anything that takes long
    sources = [_source(config, site, raw[site.id], folder) for site in config.data.sites]

    def divide(records: Sequence[RawRecord]) -> Sequence[Sequence[RawRecord]]:
        if config.evaluation.file is not None:
            return records, []
        return split_held_out(records, config.data.held_out, config.run.seed)

    return prepare_sites(config, sources, config.gate, anonymiser, divide, progress)


def _source(config: RunConfig, site: SiteSection, raw: Sequence[RawRecord], folder: Path) -> Source:
    key, cache = site_ledger(config, site, folder).key, config.data.cache
    kept = Cache(cache / site.id, key if config.data.cache_encrypted else None) if cache else None
    return Source(site, raw, key, kept)


def site_ledger(config: RunConfig, site: SiteSection, folder: Path) -> Ledger:
    """Return a site's ledger: in the folder that the config names, or in the run's own."""
    return Ledger((config.privacy.ledger or folder / "ledger") / site.id, site.id)


def site_budget(config: RunConfig, data: SiteData, folder: Path, accountant: Accountant) -> Budget:
    """Return a site's budget for its training records."""
    ledger = site_ledger(config, data.section, folder)
    dataset = Dataset.of(data.raw, ledger.key, by_person=config.privacy.unit == "person")
    return budget_of(config, data.section, ledger, dataset, accountant)


def budget_of(config: RunConfig, site: SiteSection, ledger: Ledger, dataset: Dataset, accountant: Accountant) -> Budget:
    """Return a site's budget for records whose identities are known."""
    privacy = config.privacy
    limit = Limit(privacy.budget or privacy.epsilon, privacy.delta_at(site.declared_size))
    return Budget(ledger, dataset, limit, accountant=accountant)
