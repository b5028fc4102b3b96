"""The held-out records that a server may use: read from their own file, and scrubbed as the sites' are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from privacy.anonymise.pipeline import Anonymiser
from shared.config.run import RunConfig
from shared.errors import DataError
from shared.records.read import read_records
from shared.records.types import Record

OWNER = "server"  # stands in a report in place of the site of these records


@dataclass(frozen=True)
class HeldOutFile:
    """Scrubbed records of a file, the declared group of each by position, and the number of records held back."""

    records: Sequence[Record] = field(repr=False)
    groups: Mapping[int, str | None] = field(repr=False)
    quarantined: int = 0

    @classmethod
    def read(cls, path: Path, config: RunConfig) -> "HeldOutFile":
        """Read and scrub a file.

        Parameters
        ----------
        path
            The file, with the columns of the config.
        config
            The run's config.

        Raises
        ------
        DataError
            The file cannot be used, or every record was quarantined.
        """
        raw = read_records(path, config)
        scrubbed = Anonymiser(config.anonymise).scrub(raw)
        if not scrubbed.records:
            raise DataError(f"{path}: every record was quarantined; run hushtune anonymise on it to see why")
        return cls(scrubbed.records, {record.position: record.group for record in raw}, len(scrubbed.quarantined))
