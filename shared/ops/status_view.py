"""Show a status as tables, once or as a live view in the terminal."""

import time
from collections.abc import Iterable
from itertools import repeat

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from shared.ops.numbers import delta_up, epsilon_left, epsilon_up
from shared.ops.status import BudgetSeen, OrderSeen, ServerStatus, Sighting, SiteStatus, StatusFile
from shared.ops.terminal import Terminal

STALE = 120.0  # seconds; the writers refresh the file at least once a minute


def status_tables(seen: Sighting) -> list[RenderableType]:
    """Return the tables of a server's or a site's status."""
    tables = _server(seen.status) if isinstance(seen.status, ServerStatus) else _site(seen.status)
    return [_process(seen), *tables]


def watch(file: StatusFile, ticks: Iterable[float] = repeat(1.0), live: Live | None = None) -> None:
    """Redraw a status until the ticks end or the user interrupts.

    Parameters
    ----------
    file
        Status file to read at each tick.
    ticks
        Seconds to wait after each redraw; endless by default.
    live
        Display to use; None makes a new one.
    """
    with live or Live(console=Terminal(), auto_refresh=False) as view:
        for tick in ticks:
            view.update(Group(*status_tables(file.read())), refresh=True)
            time.sleep(tick)


def _process(seen: Sighting) -> Text:
    if not seen.running:
        return _marked("stopped", "bold red", f": process {seen.pid} no longer runs; last status {ago(seen.age)}")
    if seen.age > STALE:
        return _marked("silent", "bold yellow", f": process {seen.pid} runs, but last wrote its status {ago(seen.age)}")
    return _marked("running", "bold green", f": process {seen.pid}, {ago(seen.age)}")


def _marked(word: str, style: str, rest: str = "") -> Text:
    return Text.assemble((word, style), rest)


def _server(status: ServerStatus) -> list[RenderableType]:
    facts = _facts(f"Server, run {status.run}")
    facts.add_row("run id", status.run_id)
    attempt = f", attempt {status.attempt}" if status.attempt > 1 else ""
    facts.add_row("round", f"{status.round} of {status.rounds}{attempt}; {status.committed} committed")
    facts.add_row("stage", status.stage.replace("_", " "))
    facts.add_row("waits for", _waiting(status))
    sites = _grid("Sites", "site", "connected", "last seen", "last round", "outcome")
    for site in status.sites:
        sites.add_row(
            site.site_id,
            "yes" if site.connected else "no",
            "never" if site.last_seen is None else ago(time.time() - site.last_seen),
            "-" if site.last_round is None else str(site.last_round),
            site.outcome or "-",
        )
    return [facts, sites]


def _waiting(status: ServerStatus) -> str:
    if status.stage == "waiting_for_sites":
        here = sum(site.connected for site in status.sites)
        return f"{status.quorum} sites; {here} connected"
    return ", ".join(status.waits_for) or "nobody"


def _site(status: SiteStatus) -> list[RenderableType]:
    facts = _facts(f"Site {status.site_id}")
    facts.add_row("server", status.server)
    why = f" ({status.reason.replace('_', ' ')})" if status.reason else ""
    facts.add_row("connection", f"{status.connection}{why}, since {ago(time.time() - status.since)}")
    budgets = _grid("Privacy budget (epsilon)", "of", "spent", "limit", "left", "at delta", "counted by")
    for budget in status.budgets:
        budgets.add_row(*_budget(budget))
    orders = _grid("Last orders", "when", "run", "round", "outcome", "reason")
    for order in reversed(status.orders):
        orders.add_row(*_order(order))
    return [facts, budgets, orders]


def _budget(budget: BudgetSeen) -> tuple[str, ...]:
    """Return one row of the budget table; round spent epsilon up and the rest down, so that neither promises too much."""
    limit, delta = epsilon_up(budget.limit), delta_up(budget.delta)
    if budget.spent is None:
        return budget.of, "no bound: used without privacy", limit, "0", delta, "-"
    left = max(0.0, budget.limit - budget.spent)
    return budget.of, epsilon_up(budget.spent), limit, epsilon_left(left), delta, budget.counted_by


def _order(order: OrderSeen) -> tuple[str | Text, ...]:
    colour = "red" if order.outcome in ("refused", "failed") else "green"
    when = ago(time.time() - order.time)
    return when, order.run_id, str(order.round), _marked(order.outcome, colour), order.reason or "-"


def _facts(title: str) -> Table:
    return Table(show_header=False, box=None, title=title, title_justify="left", title_style="bold")


def _grid(title: str, *columns: str) -> Table:
    table = Table(*columns, title=title, title_justify="left", title_style="bold")
    table.show_edge = False
    return table


def ago(seconds: float) -> str:
    """Return a time span as text, such as ``3 h ago``."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"
