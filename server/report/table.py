"""Write the results of a run as one table, for spreadsheets and statistics programs: a row for each measured value."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

COLUMNS = ("part", "name", "measure", "value", "low", "high")
Metrics = Mapping[str, Mapping[str, float]]


def write_table(document: Mapping[str, Any], path: Path) -> None:
    """Write the metrics and epsilons of a report as CSV.

    Parameters
    ----------
    document
        The content of report.json.
    path
        The file; one that exists is replaced.
    """
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(_rows(document))


def _rows(document: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Yield the final metrics, then those of baselines, rounds and sites, then the privacy of each site."""
    yield from _measured("final", document["run"], document["final"])
    for baseline in document["baselines"]:
        yield from _measured("baseline", baseline["name"], baseline["metrics"])
    for done in document["rounds"]:
        yield from _measured("round", done["round"], done["metrics"])
    for site, metrics in document["by_site"].items():
        yield from _measured("site", site, metrics)
    for site, own in document["personal"].items():
        yield from _measured("personal", site, own["metrics"])
    for site in document["sites"]:
        for measure in ("declared_size", "epsilon", "target_delta"):
            if site[measure] is not None:
                yield "privacy", site["site_id"], measure, site[measure], "", ""


def _measured(part: str, name: object, metrics: Metrics) -> Iterator[tuple[Any, ...]]:
    for measure, interval in metrics.items():
        yield part, name, measure, interval["value"], interval["low"], interval["high"]
