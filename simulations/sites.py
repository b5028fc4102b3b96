"""Set up the sites of a simulated federation: their scrubbed records, ledgers and budgets."""

from collections.abc import Mapping, Sequence
from functools import partial
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
from shared.ops.progress import Progress, silent
from shared.records.read import read_records
from shared.records.types import RawRecord
from simulations.reading import divided


def scrub_sites(
    config: RunConfig,
    raw: Mapping[str, Sequence[RawRecord]],
    folder: Path,
    progress: Progress = silent,
    anonymiser: Anonymiser | None = None,
) -> list[SiteData]:
    """Run the data stage on the raw records of all sites.

    A share of each site's records is held out and only scrubbed, unless the run is measured on ``evaluation.file``.

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
        read_records(config.evaluation.file, config)  # refuses a bad file before anything that takes long
    sources = [_source(config, site, raw[site.id], folder) for site in config.data.sites]

    return prepare_sites(config, sources, config.gate, anonymiser, progress, partial(divided, config))


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
    """Return a site's budget for records that are given by their identities."""
    privacy = config.privacy
    limit = Limit(privacy.budget or privacy.epsilon, privacy.delta_at(site.declared_size))
    return Budget(ledger, dataset, limit, accountant=accountant)
