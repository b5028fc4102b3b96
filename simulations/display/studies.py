"""Show a comparison and a search as tables at a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from server.report.comparison import lead, name_of
from server.report.figures import duration, energy, measured, number, setting, share, size
from simulations.display.tables import new_table

SIDES = ("free", "private")


def comparison_tables(document: Mapping[str, Any], folder: str) -> Iterator[RenderableType]:
    """Yield a comparison: a table of its rows, a sentence for each paired test, and what privacy does to groups."""
    metric = document["rows"][0]["metric"] if document["rows"] else ""
    table = new_table(
        f"Comparison {document['run']}", "row", "model", f"{metric} (interval)", "seeds", "bytes", "time", "energy"
    )
    for row in document["rows"]:
        cost = (size(row["bytes"]), duration(row["seconds"]), energy(row["kwh"]))
        table.add_row(name_of(row), row["model"], measured(row["value"], metric), str(row["seeds"]), *cost)
    yield table
    for answer, sentence in zip(document["conclusions"], lead(document), strict=True):
        yield f"{answer['question']} {sentence}"
    if document["disparities"]:
        yield _disparities(document["disparities"], metric)
    yield f"Page: {folder}/compare.html"


def _disparities(found: Sequence[Mapping[str, Any]], metric: str) -> Table:
    """Return a table of the worst group and the gap of each private row, next to the same method without privacy."""
    names = ("groups by", "worst, no privacy", "worst, private", "gap, no privacy", "gap, private")
    table = new_table(f"What privacy does to groups, {metric} (interval)", "row", *names)
    for each in found:
        by_group = {row["group"]: row for row in each["rows"]}
        worst = (f"{each['worst'][side]}: {measured(by_group[each['worst'][side]][side], metric)}" for side in SIDES)
        table.add_row(name_of(each), each["by"], *worst, *(measured(each["gap"][side], metric) for side in SIDES))
    return table


def sweep_tables(document: Mapping[str, Any], folder: str) -> Iterator[RenderableType]:
    """Yield the tables of a search: its trials, the best first, and how much each field mattered."""
    fields = document["fields"]
    table = new_table(f"Sweep {document['run']}", "trial", "value", *(name.split(".")[1] for name in fields))
    ranked = sorted(document["trials"], key=lambda trial: (trial["state"] != "complete", -(trial["value"] or 0)))
    for trial in ranked:
        shown = number(trial["value"]) if trial["state"] == "complete" else "pruned"
        table.add_row(str(trial["number"]), shown, *(setting(_short(trial["settings"].get(name))) for name in fields))
    yield table
    if document["importance"]:
        yield "Share of the differences that each field explains: " + ", ".join(
            f"{name} {share(part)}" for name, part in document["importance"].items()
        )
    yield f"The best is ready to run: hushtune simulate {document['best']}"


def _short(given: Any) -> Any:
    return float(f"{given:.3g}") if isinstance(given, float) else given
