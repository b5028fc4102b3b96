"""Write a comparison of training methods as one HTML page: a chart, a table of every row, and paired tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from server.report.figures import change, count, epsilon, p_value
from server.report.template import environment
from shared.metrics.registry import measure

METHODS = {
    "base": "no training",
    "prompt": "best prompt",
    "alone": "alone",
    "federation": "federation",
    "pooled": "records pooled",
}


def write_page(document: Mapping[str, Any], path: Path) -> None:
    """Write the HTML page of a comparison; the same document gives the same bytes.

    Parameters
    ----------
    document
        The comparison, as in comparison.json.
    path
        The file to write.
    """
    page = environment().get_template("comparison.html.j2")
    shown = page.render(d=document, chart=_chart(document["rows"]), lead=lead(document), name_of=name_of)
    path.write_text(shown, encoding="utf-8")


def name_of(row: Mapping[str, Any]) -> str:
    """Return the name of a row, for example ``federation, epsilon 8``.

    Parameters
    ----------
    row
        A row of the comparison; its method, sites and epsilon make the name.
    """
    site = f" ({row['sites'][0]})" if row["method"] == "alone" else ""
    trained = row["method"] not in ("base", "prompt")
    privacy = "" if not trained else ", no privacy" if row["epsilon"] is None else f", epsilon {epsilon(row['epsilon'])}"
    return f"{METHODS[row['method']]}{site}{privacy}"


def lead(document: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each paired test of a comparison.

    Parameters
    ----------
    document
        The comparison, as in comparison.json.
    """
    return [_sentence(answer) for answer in document["conclusions"]]


def _sentence(answer: Mapping[str, Any]) -> str:
    """State the change from one row to another, and whether its interval excludes 0."""
    low, high = answer["change"]["low"], answer["change"]["high"]
    verdict = "is not a clear difference" if low <= 0 <= high else "is more than chance explains"
    change_ = change(answer["change"], answer["metric"])
    return (
        f"From {name_of(answer['before'])} to {name_of(answer['after'])}: {change_} {measure(answer['metric']).label} on "
        f"{count(answer['records'])} records (p {p_value(answer['p_value'])}), which {verdict}."
    )


def _chart(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """Draw every row's measure with its interval, the best on top."""
    if not rows:
        return Markup("")
    from server.report import charts  # with matplotlib, which commands that print a comparison need not have

    metric = rows[0]["metric"]
    ordered = sorted(rows, key=lambda row: row["value"]["value"], reverse=not measure(metric).lower_is_better)
    several = len({row["model"] for row in rows if row["method"] != "prompt"}) > 1
    names = [name_of(row) + (f", {row['model']}" if several else "") for row in ordered]
    points = [charts.Point(name, *_ends(row["value"])) for name, row in zip(names, ordered, strict=True)]
    label = f"{measure(metric).label} of each row: " + "; ".join(f"{point.name}: {point.value:.3g}" for point in points)
    svg = charts.intervals("rows", label, points, None, percent=measure(metric).percent)
    return Markup(svg)  # noqa: S704 -- charts.py escapes every name


def _ends(interval: Mapping[str, float]) -> tuple[float, float, float]:
    return interval["value"], interval["low"], interval["high"]
