"""Keep the scrubbed records of a simulation's sites in a folder, from which any process can build a site."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from client.data_stage.site_data import SiteData
from privacy.anonymise.scrubbed import Scrubbed
from privacy.fingerprint import Dataset
from shared.config.data import SiteSection
from shared.errors import RunError
from shared.records.types import Record, Span
from shared.wire.chain_head import ChainHead

NAME = "records.json"


@dataclass(frozen=True)
class StoredSite:
    """What the folder holds for one site.

    Attributes
    ----------
    data
        The scrubbed training records, with persons as running numbers and with paraphrases; no raw record.
    dataset
        The identities of the raw records, for the ledger.
    ledger
        The end of the site's ledger when the records were put here.
    """

    data: SiteData
    dataset: Dataset
    ledger: ChainHead


@dataclass(frozen=True)
class SiteStore:
    """A folder with one folder for each site; neither raw text nor the id of a person is written."""

    folder: Path

    def put(self, data: SiteData, dataset: Dataset, ledger: ChainHead) -> None:
        """Write what a process needs to build a site.

        Raises
        ------
        RunError
            The folder cannot be written.
        """
        numbers = {person: str(number) for number, person in enumerate(dict.fromkeys(data.persons))}
        content = {
            "records": [asdict(record) for record in data.training.records],
            "persons": [numbers[person] for person in data.persons],
            "wordings": {text: list(found) for text, found in data.wordings.items()},
            "units": [[identity.hex() for identity in unit] for unit in dataset.units],
            "ledger": asdict(ledger),
        }
        path = self.folder / data.section.id / NAME
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_text(json.dumps(content), encoding="ascii")
        except OSError as error:
            raise RunError(f"{path}: cannot be written ({type(error).__name__}); make room, or set run.output") from error

    def get(self, section: SiteSection) -> StoredSite:
        """Read what `put` wrote for a site.

        Raises
        ------
        RunError
            This process does not see the folder.
        """
        path = self.folder / section.id / NAME
        try:
            content = json.loads(path.read_text(encoding="ascii"))
        except OSError as error:
            raise RunError(
                f"{path}: cannot be read ({type(error).__name__}) by a process that trains the site; set run.output to a "
                "folder that all machines share"
            ) from error
        records = tuple(_record(row) for row in content["records"])
        data = SiteData(section, (), Scrubbed(records), persons=content["persons"], wordings=content["wordings"])
        return StoredSite(data, Dataset(_units(content["units"])), ChainHead(**content["ledger"]))


def _record(row: Mapping[str, Any]) -> Record:
    return Record(**{**row, "tags": tuple(Span(**tag) for tag in row["tags"])})


def _units(rows: Sequence[Sequence[str]]) -> list[tuple[bytes, ...]]:
    return [tuple(bytes.fromhex(identity) for identity in row) for row in rows]
