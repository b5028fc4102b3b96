"""The data stage alone: what anonymisation finds in every site's records, and the scrubbed records on request."""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from privacy.anonymise.outcome import Scrubbed
from privacy.anonymise.pipeline import Anonymiser
from privacy.anonymise.quality import merge_recalls, overall
from server.report.document import recall_row
from shared.config import RunConfig
from simulations.progress import Progress
from simulations.sites import read_sites


def scrub_report(config: RunConfig, output: Path | None, progress: Progress) -> dict[str, Any]:
    """Counts by site and recall by entity; never text. Scrubbed records go to ``output``, one JSONL file a site."""
    with tempfile.TemporaryDirectory() as scratch:
        raw = read_sites(config, Path(scratch), labelled=False)
    progress.stage("anonymise", sum(len(records) for records in raw.values()))
    results = dict(zip(raw, Anonymiser(config.anonymise).scrub_groups(list(raw.values()), progress.advance), strict=True))
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
        "recall": {label: recall_row(recall) for label, recall in recalls.items()},
        "overall": recall_row(total) if total.total else None,
        "output": str(output) if output else None,
    }


def _write(results: Mapping[str, Scrubbed], output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    for site_id, result in results.items():
        with (output / f"{site_id}.jsonl").open("w", encoding="utf-8") as stream:
            for record in result.records:
                row = dict(record.fields) | ({"label": record.label} if record.label is not None else {})
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
