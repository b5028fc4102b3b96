"""Show a finished run, and an adapter's score, as tables at a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from server.report.figures import count, epsilon, measured, share, size, target_delta
from server.report.many_sites import listed, others
from shared.config.data_stage import PARAPHRASES, WITHOUT_MODEL
from shared.metrics.registry import measure
from simulations.display.tables import new_table


def report_tables(report: Mapping[str, Any], folder: str) -> Iterator[RenderableType]:
    """Yield the tables of a run: sites, rounds with the baselines first, failures, and where the report is."""
    yield _sites(report)
    if beyond := others(report["sites"]):
        yield beyond
    yield _rounds(report)
    yield from paraphrase_lines(report)
    for failure in report["failures"]:
        yield f"! {failure}"
    if not report["privacy"]["enabled"]:
        yield "! This run had no differential privacy: the adapter may reveal single training records."
    yield f"{report['seconds']:.0f} s in all. Report: {folder}/report.html; to print: {folder}/summary.html"


def paraphrase_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield how many paraphrases of each site's records were kept, if the run asked for any."""
    for site in listed(report["sites"]):
        counts = {name: n for name, n in site.get("touched", {}).items() if name.startswith(PARAPHRASES)}
        if WITHOUT_MODEL in counts:
            yield f"! site {site['site_id']}: no model writes paraphrases here, so its views are only noised"
        elif counts:
            asked = sum(counts.values())
            yield f"Site {site['site_id']}: {count(counts[PARAPHRASES])} of {count(asked)} paraphrases were kept"


def _sites(report: Mapping[str, Any]) -> Table:
    table = new_table(
        f"Sites of run {report['run']}", "site", "records", "quarantined", "PII recall", "epsilon spent", "delta"
    )
    for site in listed(report["sites"]):
        private = site["epsilon"] is not None
        table.add_row(
            site["site_id"],
            count(site["records"]),
            count(site["quarantined"]),
            share(site["recall"]["value"]) if site["recall"] else "not known",
            epsilon(site["epsilon"]) if private else "no privacy",
            target_delta(site["target_delta"]) if private else "",
        )
    return table


def _rounds(report: Mapping[str, Any]) -> Table:
    metric = next(iter(report["final"]))
    table = new_table(f"Held-out {metric} by round", "round", f"{metric} (interval)", "bytes up", "bytes down", "seconds")
    for row in report["baselines"]:
        table.add_row(row["name"], measured(row["metrics"][metric], metric))
    for row in report["rounds"]:
        table.add_row(
            f"{row['round']}" if row["committed"] else f"{row['round']} (abandoned)",
            measured(row["metrics"].get(metric), metric),
            size(row["bytes_up"]),
            size(row["bytes_down"]),
            f"{row['seconds']:.1f}",
        )
    return table


def metrics_table(scored: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield the metrics of an adapter on a file."""
    table = new_table(f"{count(scored['records'])} records, {count(scored['quarantined'])} quarantined", "metric", "value")
    for name, interval in scored["metrics"].items():
        table.add_row(measure(name).label, measured(interval, name))
    yield table
