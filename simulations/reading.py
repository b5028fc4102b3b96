"""Read the raw records of a simulation, and let them be scrubbed early; imports no library that takes seconds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from client.data_stage.cleaning import clean
from privacy.anonymise.pipeline import Anonymiser
from shared.config.run import RunConfig
from shared.errors import ConfigError
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

    Raises
    ------
    ConfigError
        The records are at real sites.
    DataError
        A file cannot be read, or a site would get no record.
    """
    root = config.data.root
    if config.data.source == "sites":
        raise ConfigError("data.source = 'sites': the records are at real sites; start hushtune server, or name files")
    if config.data.source == "synthetic":
        root = folder / "data"
        write_sites(root, config.data.sites, config.run.seed, config.data.planted_bias, config.task.labels)
    if config.data.pool is not None:
        pool = root / config.data.pool
        return deal(pool, read_records(pool, config, labelled), config)
    return {site.id: read_records(root / (site.file or f"{site.id}.jsonl"), config, labelled) for site in config.data.sites}


def begin_scrubbing(config: RunConfig, anonymiser: Anonymiser) -> None:
    """Let worker processes scrub the records of all sites while this process does other work.

    `scrub_sites` waits for the workers. Under a gate, they only load their models, because the records must pass the gate
    first.

    Parameters
    ----------
    config
        The run's config.
    anonymiser
        Scrubs the records; pass the same one to `scrub_sites`.
    """

    def read() -> list[Sequence[RawRecord]]:
        with TemporaryDirectory() as scratch:  # the run's own folder is made only when nothing refuses the run any more
            raw = read_sites(config, Path(scratch))
        cleaned = (clean(raw[site.id], config.cleaning).records for site in config.data.sites)
        return [part for records in cleaned for part in divided(config, records)]

    anonymiser.begin(read if config.gate is None else None)


def divided(config: RunConfig, records: Sequence[RawRecord]) -> Sequence[Sequence[RawRecord]]:
    """Divide a site's cleaned records into training and held-out ones; with ``evaluation.file``, all of them train."""
    if config.evaluation.file is not None:
        return records, []
    return split_held_out(records, config.data.held_out, config.run.seed)
