"""Set up the templates of the report and the cards: their number formats, and the rows of the table of charges."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
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
from server.report.many_sites import listed, others
from shared.metrics.registry import measure

PER_CENT = re.compile(r"(?<=\d) %")


@cache  # so that each template is compiled once in a process; nobody changes the environment
def environment(escape: Callable[[Any], Any] | None = None) -> Environment:
    """Return the Jinja environment for the templates of this folder, in which an undefined name is an error.

    Values are escaped by ``escape`` if given (Markdown has its own), else for HTML.
    """
    found = Environment(
        loader=PackageLoader("server.report", ""),
        autoescape=escape is None,  # noqa: S701 -- `escape` escapes by itself
        finalize=escape or unbroken,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(_filters())
    return found


def unbroken(shown: Any) -> Any:
    """Keep a number and its per cent sign in one line; what is marked-up already, such as a drawing, stays as it is."""
    return PER_CENT.sub("\N{NO-BREAK SPACE}%", shown) if type(shown) is str else shown


def _filters() -> dict[str, Callable[..., Any]]:
    """Return the template filters: one per kind of number, and those of pages of many sites."""
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
        "listed": listed,
        "others": lambda sites, file: f" {said}" if (said := others(sites, file)) else "",
        "label": lambda name: measure(name).label,
    }


def charge_rows(card: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one row per listed site, charged event and stretch of consecutive rounds in which the event was charged."""
    for site in listed(card["sites"]):
        events = [{name: given for name, given in charge.items() if name != "round"} for charge in site["charged"]]
        for event in [event for place, event in enumerate(events) if event not in events[:place]]:
            rounds = [charge["round"] for charge, other in zip(site["charged"], events, strict=True) if other == event]
            # In consecutive rounds, the round number minus the place in the list is constant.
            for _, group in groupby(enumerate(rounds), lambda place: place[1] - place[0]):
                numbers = [number for _, number in group]
                last = f" to {numbers[-1]}" if len(numbers) > 1 else ""
                yield {**event, "site_id": site["site_id"], "rounds": f"{numbers[0]}{last}"}
