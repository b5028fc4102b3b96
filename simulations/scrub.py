"""Run only the anonymisation: count what it finds in every site's records, measure its quality, and preview its output."""

import json
import secrets
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.data_stage.pseudonym_map import PseudonymMap
from privacy.anonymise.pipeline import CHUNK, Anonymiser
from privacy.anonymise.scrubbed import Scrubbed
from privacy.leakage.recall import merge_recalls, overall
from shared.config.anonymise import AnonymiseSection, GateSection
from shared.config.run import RunConfig
from shared.config.toml import read_toml
from shared.errors import ConfigError, DataError
from shared.ops.progress import Advance, Progress
from shared.records.read import read_records
from shared.records.types import RawRecord
from simulations.reading import read_sites

if TYPE_CHECKING:
    from privacy.anonymise.scrubbed import Quarantined
    from privacy.anonymise.scrubber import Clean


@dataclass(frozen=True)
class Source:
    """The records to scrub, by site, and the settings; ``pseudonyms`` is set if a SITE.toml keeps the original values."""

    raw: Mapping[str, Sequence[RawRecord]]
    section: AnonymiseSection
    gate: GateSection
    seed: int
    pseudonyms: PseudonymMap | None = None


def read_source(path: Path, overrides: Sequence[str]) -> Source:
    """Read the records of a run's config, or of a site's own file (one with a section ``site``).

    Raises
    ------
    ConfigError
        The file, an override or a value cannot be used.
    DataError
        A site's records cannot be read.
    """
    if "site" in read_toml(path) and not overrides:
        return _own(path)
    config = RunConfig.load(path, overrides)
    with tempfile.TemporaryDirectory() as scratch:
        raw = read_sites(config, Path(scratch), labelled=False)
    return Source(raw, config.anonymise, config.gate or GateSection(), config.run.seed)


def _own(path: Path) -> Source:
    """Read the records of a SITE.toml, for the first of its permitted tasks that fits its columns."""
    from client.site_file import SiteFile

    file = SiteFile.load(path)
    failures: list[DataError] = []
    for task in file.policy.tasks:
        try:
            run = file.reading(task, str(path), labelled=False)
            raw = read_records(file.data.file, run, labelled=False)
        except DataError as error:
            failures.append(error)
        else:
            gate = file.policy.anonymise or GateSection()
            pseudonyms = PseudonymMap(file.site.state, file.site.id)
            return Source({file.site.id: raw}, run.anonymise, gate, 0, pseudonyms if file.anonymise.reversible else None)
    raise failures[0] if failures else ConfigError(f"{path}: policy.tasks: names no task; name one")


def scrub_report(source: Source, output: Path | None, progress: Progress) -> dict[str, Any]:
    """Scrub the records, and return counts by site and recall by entity, without text.

    Parameters
    ----------
    source
        The records and settings.
    output
        Folder for the scrubbed records, one JSONL file for each site; None writes nothing.
    progress
        Called at the start of the stage ``anonymise``.
    """
    raw = source.raw
    advance = progress("anonymise", sum(len(records) for records in raw.values()))
    if output is not None and source.pseudonyms is not None:
        ((site_id, records),) = raw.items()
        results = {site_id: _reversibly(source.section, source.pseudonyms, records, advance)}
    else:
        groups = Anonymiser(source.section).scrub_groups(list(raw.values()), advance)
        results = dict(zip(raw, groups, strict=True))
    if output is not None:
        _write(results, output)
    recalls = merge_recalls(result.recall for result in results.values())
    total = overall(recalls)
    return {
        "sites": [
            {
                "site_id": site_id,
                "records": len(result.records),
                "quarantined": len(result.quarantined),
                "quarantine_reasons": dict(Counter(str(held.reason) for held in result.quarantined)),
                "entities": dict(result.entities),
            }
            for site_id, result in results.items()
        ],
        "recall": {label: recall.row() for label, recall in recalls.items()},
        "overall": total.row() if total.total else None,
        "output": str(output) if output else None,
    }


def report_sites(source: Source, sample: int, progress: Progress) -> dict[str, Any]:
    """Assess each site on a sample of its records, and return measures without text, and whether every site passes its gate.

    Parameters
    ----------
    source
        The records and settings.
    sample
        Most records of each site to assess.
    progress
        Called at the start of the stage ``anonymise``.
    """
    from privacy.leakage.assessment import PLANTED, assess, evenly
    from privacy.leakage.document import document

    raw = {site_id: evenly(records, sample) for site_id, records in source.raw.items()}
    advance = progress("anonymise", sum(len(records) + PLANTED for records in raw.values()))
    sites = {
        site_id: document(assess(source.section, records, source.seed, advance), source.gate)
        for site_id, records in raw.items()
    }
    return {"passed": all(site["passed"] for site in sites.values()), "sites": sites}


def preview_site(source: Source, count: int) -> "list[tuple[RawRecord, Clean | Quarantined]]":
    """Return the first records of each site with their scrubbed forms, which are shown but not stored."""
    from privacy.anonymise.polyglot import Polyglot

    records = [record for group in source.raw.values() for record in group[:count]]
    scrubber = Polyglot(source.section, b"preview alone: no surrogate is kept")
    return list(zip(records, scrubber.examine(records), strict=True))


def reveal_record(path: Path, position: int) -> Mapping[str, str]:
    """Return the original value of each tag or surrogate of a record that was written out, for the steward only.

    Parameters
    ----------
    path
        The SITE.toml.
    position
        Line of the record in the output, from 1.

    Raises
    ------
    ConfigError
        The file is no SITE.toml.
    DataError
        No map is kept, or it cannot be opened.
    """
    from client.site_file import SiteFile

    file = SiteFile.load(path)
    return PseudonymMap(file.site.state, file.site.id).of(position)


def _reversibly(
    section: AnonymiseSection, pseudonyms: PseudonymMap, records: Sequence[RawRecord], advance: Advance
) -> Scrubbed:
    """Scrub a site's records in this process, and store the original value of each tag or surrogate."""
    from privacy.anonymise.polyglot import Polyglot
    from privacy.anonymise.scrubber import Clean, gathered

    scrubber = Polyglot(section, secrets.token_bytes(32))
    done = []
    for at in range(0, len(records), CHUNK):
        done += scrubber.examine(records[at : at + CHUNK])
        advance(len(records[at : at + CHUNK]))
    pseudonyms.keep({one.record.position: one.originals for one in done if isinstance(one, Clean)})
    return gathered(done)


def _write(results: Mapping[str, Scrubbed], output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    for site_id, result in results.items():
        with (output / f"{site_id}.jsonl").open("w", encoding="utf-8") as stream:
            for record in result.records:
                row: dict[str, Any] = dict(record.fields)
                row |= {"label": record.label} if record.label is not None else {}
                row |= {"tags": [asdict(tag) for tag in record.tags]} if record.tags else {}
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
