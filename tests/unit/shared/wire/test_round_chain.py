"""Each end of the server's chain binds all that it was made of: no part can be another one with the same end."""

from typing import Any

import pytest

from shared.wire.chain_head import ChainHead
from shared.wire.round_chain import extend

BEFORE = ChainHead(3, "a" * 64)
GIVEN: dict[str, Any] = {
    "record": BEFORE,
    "run_id": "run",
    "number": 4,
    "adapter_digest": "b" * 64,
    "ledgers": {"north": ChainHead(7, "c" * 64), "south": ChainHead(5, "d" * 64)},
}


def test_an_end_counts_its_rounds_and_is_the_same_again() -> None:
    assert extend(**GIVEN) == extend(**GIVEN)
    assert extend(**GIVEN).entries == 4


@pytest.mark.parametrize(
    "change",
    [
        {"record": ChainHead(3, "f" * 64)},
        {"run_id": "other"},
        {"number": 5},
        {"adapter_digest": "f" * 64},
        {"ledgers": {"north": ChainHead(7, "c" * 64)}},
        {"ledgers": {"north": ChainHead(7, "c" * 64), "south": ChainHead(5, "f" * 64)}},
        {"ledgers": {"north": ChainHead(7, "c" * 64), "south": ChainHead(6, "d" * 64)}},
    ],
    ids=str,
)
def test_another_past_round_adapter_or_ledger_has_another_end(change: dict[str, Any]) -> None:
    assert extend(**{**GIVEN, **change}).hash != extend(**GIVEN).hash
