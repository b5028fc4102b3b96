"""What an operator sees at a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from server.report.figures import epsilon, measured, size


def server_tables(report: Mapping[str, Any], folder: str) -> Iterator[RenderableType]:
    """A finished run: its rounds, its sites, what failed, and where the report is."""
    metric = next(iter(report["final"]))
    rounds = Table("round", f"held-out {metric} (interval)", "accepted", "bytes up", "seconds", title=f"Run {report['run']}")
    for row in report["rounds"]:
        rounds.add_row(
            f"{row['round']}" if row["committed"] else f"{row['round']} (abandoned)",
            measured(row["metrics"][metric], metric),
            f"{len(row['accepted'])}",
            size(row["bytes_up"]),
            f"{row['seconds']:.1f}",
        )
    yield rounds
    sites = Table("site", "declared size", "epsilon at most")
    for site in report["sites"]:
        spent = "no privacy" if site["epsilon"] is None else epsilon(site["epsilon"])
        sites.add_row(site["site_id"], f"{site['declared_size']:,}", spent)
    yield sites
    yield from (f"! {failure}" for failure in report["failures"])
    yield f"Report: {folder}/report.html"
