"""What a data steward sees on a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from shared.numbers import delta_up, epsilon_up


def ledger_tables(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """A statement of a ledger: reservations, then epsilon by dataset and in all."""
    table = Table("entry", "run", "round", "dataset", "released", "answered", title=f"Ledger of site {found['site_id']}")
    for row in found["reservations"]:
        released = "; ".join(_event(event) for event in row["events"]) or "without privacy"
        table.add_row(
            str(row["entry"]),
            row["run_id"],
            str(row["round"]),
            row["dataset"][:12],
            released,
            "yes" if row["answered"] else "no, counts all the same",
        )
    yield table
    yield _datasets(found)
    yield f"A record in all of them has spent at most epsilon {_spent(found['epsilon_in_all'])}."
    yield f"{found['entries']} entries. Head: {found['hash']}"


def _datasets(found: Mapping[str, Any]) -> Table:
    title = f"Spent at delta {delta_up(found['target_delta'])}, for {found['relation']}"
    table = Table("dataset", "identities", "rounds", "epsilon", title=title)
    for row in found["datasets"]:
        table.add_row(row["dataset"][:12], f"{row['identities']:,}", str(row["rounds"]), _spent(row["epsilon"]))
    return table


def _event(event: Mapping[str, Any]) -> str:
    sampled = f"q {event['sampling_rate']:g}, z {event['noise_multiplier']:g}, T {event['steps']}"
    return f"{event['purpose']}: {sampled}"


def _spent(amount: float | None) -> str:
    return "unbounded: used without privacy" if amount is None else epsilon_up(amount)
