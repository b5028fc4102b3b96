"""Templates of the report and the cards: how each kind of number is written, and rows that several pages show."""

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from server.report.figures import (
    change,
    count,
    day,
    duration,
    energy,
    epsilon,
    exact,
    grids,
    measured,
    number,
    p_value,
    setting,
    share,
    share_at_most,
    size,
    span,
    target_delta,
    value,
)
from shared.metrics.registry import measure


def environment(*, autoescape: bool) -> Environment:
    """Where the templates of this folder are found, strict about every name; only Markdown escapes in its own way."""
    found = Environment(
        loader=PackageLoader("server.report", ""),
        autoescape=autoescape,  # noqa: S701 -- markdown.py has an escape of its own
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(_filters())
    return found


def _filters() -> dict[str, Callable[..., str]]:
    """How the template writes each kind of number."""
    return {
        "measured": measured,
        "value": value,
        "span": span,
        "number": number,
        "count": count,
        "share": share,
        "at_most": share_at_most,
        "exact": exact,
        "grids": grids,
        "size": size,
        "duration": duration,
        "energy": energy,
        "epsilon": epsilon,
        "target_delta": target_delta,
        "day": day,
        "setting": setting,
        "change": change,
        "p_value": p_value,
        "label": lambda name: measure(name).label,
    }


def charge_rows(card: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The charges of a card, site by site; neighbouring rounds that were charged the same event share a row."""
    for site in card["sites"]:
        events = [{name: given for name, given in charge.items() if name != "round"} for charge in site["charged"]]
        for event in [event for place, event in enumerate(events) if event not in events[:place]]:
            rounds = [charge["round"] for charge, other in zip(site["charged"], events, strict=True) if other == event]
            # Rounds in a row have one difference to their place in the list.
            for _, group in groupby(enumerate(rounds), lambda place: place[1] - place[0]):
                numbers = [number for _, number in group]
                last = f" to {numbers[-1]}" if len(numbers) > 1 else ""
                yield {**event, "site_id": site["site_id"], "rounds": f"{numbers[0]}{last}"}
