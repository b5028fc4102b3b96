"""What a steward reads of a ledger is never less than what was spent."""

import io
from typing import Any

import pytest
from rich.console import Console

from client.display import ledger_tables


def shown(epsilon: float | None, delta: float = 1e-5) -> str:
    figures = {"epsilon": epsilon, "counted_by": "filter", "if_planned_together": epsilon}
    dataset = {"dataset": "3fa91c" * 8, "identities": 412, "rounds": 2, **figures}
    found: dict[str, Any] = {
        **{"site_id": "north", "reservations": [], "datasets": [dataset], "in_all": figures},
        **{"target_delta": delta, "relation": "add or remove one unit", "entries": 3, "hash": "e" * 64},
    }
    stream = io.StringIO()
    Console(file=stream, width=160).print(*ledger_tables(found))
    return stream.getvalue()


@pytest.mark.parametrize(("epsilon", "figure"), [(3.141549, "3.1416"), (0.00004, "4e-5"), (8.0, "8")])
def test_a_ledger_shows_what_was_spent_rounded_up(epsilon: float, figure: str) -> None:
    text = " ".join(shown(epsilon).split())
    assert f"has spent at most epsilon {figure} (by the " in text
    assert f"fixed in advance, it would be {figure}." in text
    assert f" {figure} " in text.split("identities")[1].split("A record")[0]


def test_a_delta_is_rounded_up_too() -> None:
    assert "Spent at delta 3.4e-4, for add or remove one unit" in " ".join(shown(1.0, delta=0.000331).split())


def test_what_was_used_without_privacy_has_no_figure() -> None:
    assert " ".join(shown(None).split()).count("used without privacy") == 4
