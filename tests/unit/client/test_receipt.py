"""A receipt holds for what a site sent and was shown, and for nothing else."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from client.receipt import receipt
from privacy.budget import Budget, Limit
from privacy.dp.plan import PrivacyPlan
from privacy.fingerprint import Dataset
from privacy.ledger import Ledger
from shared.errors import LedgerError
from shared.wire.chain_head import ChainHead
from shared.wire.round_chain import extend

PLAN = PrivacyPlan(1.0, 20.0, 1.0, steps_per_round=1, rounds=3, target_delta=1e-4, declared_size=40)
OWN, OTHER = "a" * 64, "b" * 64
Rows = list[dict[str, Any]]


def chained(rows: Rows) -> Rows:
    """Return rows with the heads of a server that commits to them."""
    head = ChainHead()
    for row in rows:
        ledgers = {site: ChainHead(**each) for site, each in row["ledgers"].items()}
        head = extend(head, "run", row["round"], row["adapter_digest"], ledgers, row["replies"])
        row["record"] = asdict(head)
    return rows


def honest() -> Rows:
    """Three rounds: both sites count in the first, only the other in the second, both in the last."""
    replies = [{"north": OWN, "south": OTHER}, {"south": OTHER}, {"north": OWN, "south": OTHER}]
    return chained(
        [
            {
                "round": number,
                "committed": True,
                "accepted": sorted(each),
                "adapter_digest": str(number) * 64,
                "ledgers": {"south": asdict(ChainHead(number, "c" * 64))},
                "replies": each,
            }
            for number, each in enumerate(replies, 1)
        ]
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make the ledger of a site that was shown the honest chain, and answered the first and the last round."""
    ledger = Ledger(tmp_path / "ledger", "north")
    budget = Budget(ledger, Dataset([(b"1" * 16,)]), Limit(100.0, 1e-4))
    shown = [ChainHead(), *(ChainHead(**row["record"]) for row in honest())]
    for number in (1, 3):
        budget.reserve("run", number, PLAN, shown[number - 1], start=str(number - 1) * 64)
        budget.commit("run", number, reply=OWN)
    return ledger.folder


@pytest.fixture
def published(tmp_path: Path) -> Callable[[Rows], Path]:
    def write(rows: Rows) -> Path:
        (tmp_path / "report.json").write_text(json.dumps({"run_id": "run", "rounds": rows}))
        return tmp_path

    return write


def test_a_receipt_names_the_rounds_in_which_the_reply_counts(folder: Path, published: Callable[[Rows], Path]) -> None:
    found = receipt(folder, published([*honest(), {"round": 4, "committed": False}]))
    assert [(row["round"], row["own"], row["replies"]) for row in found["rounds"]] == [
        (1, "counted", 2),
        (2, "not sent", 1),
        (3, "counted", 2),
    ]
    assert (found["orders"], found["head"]) == (2, honest()[-1]["record"])
    assert found["adapters"] == 1  # the adapter before the first round is not published


def test_a_personal_round_after_the_last_one_is_no_order(folder: Path, published: Callable[[Rows], Path]) -> None:
    budget = Budget(Ledger(folder, "north"), Dataset([(b"1" * 16,)]), Limit(100.0, 1e-4))
    budget.reserve("run", 4, PLAN, ChainHead())
    assert receipt(folder, published(honest()))["orders"] == 2


def test_a_reply_that_was_left_out_is_said(folder: Path, published: Callable[[Rows], Path]) -> None:
    rows = honest()
    rows[2] |= {"replies": {"south": OTHER}, "accepted": ["south"]}
    assert receipt(folder, published(chained(rows)))["rounds"][2]["own"] == "not counted"


def altered(change: str) -> Rows:
    rows = honest()
    if change == "other-reply":
        rows[2]["replies"]["north"] = OTHER
    elif change == "uninvited-reply":
        rows[1] |= {"replies": {"north": OWN, "south": OTHER}, "accepted": ["north", "south"]}
    elif change == "other-site":
        rows[0]["replies"]["west"] = OTHER
        rows[0]["accepted"] = ["north", "south", "west"]
    elif change == "other-adapter":
        rows[0]["adapter_digest"] = "f" * 64
    elif change == "round-less":
        del rows[0]
    return chained(rows)


@pytest.mark.parametrize("change", ["other-reply", "uninvited-reply", "other-site", "other-adapter", "round-less"])
def test_a_server_that_publishes_another_past_than_the_site_was_shown_is_caught(
    folder: Path, published: Callable[[Rows], Path], change: str
) -> None:
    """The server recomputes its chain and signs again, so only the site's ledger can tell."""
    with pytest.raises(LedgerError, match=r"another past|did not|does not have"):
        receipt(folder, published(altered(change)))


def test_an_order_that_came_with_another_adapter_than_the_published_one_gets_no_receipt(
    folder: Path, published: Callable[[Rows], Path]
) -> None:
    """The server told this site the honest chain, and sent it an adapter of its own choice."""
    rows = honest()
    budget = Budget(Ledger(folder, "north"), Dataset([(b"1" * 16,)]), Limit(100.0, 1e-4))
    budget.reserve("run", 2, PLAN, ChainHead(**rows[0]["record"]), start="e" * 64)
    with pytest.raises(LedgerError, match="in round 2 the server sent this site another adapter than the report states"):
        receipt(folder, published(rows))


@pytest.mark.parametrize("number", [2, 4])
def test_an_order_that_showed_a_shorter_past_gets_no_receipt(
    folder: Path, published: Callable[[Rows], Path], number: int
) -> None:
    """The server hid the rounds before, so that its own choice of an adapter would be compared with none."""
    budget = Budget(Ledger(folder, "north"), Dataset([(b"1" * 16,)]), Limit(100.0, 1e-4))
    budget.reserve("run", number, PLAN, ChainHead(), start="e" * 64)
    with pytest.raises(LedgerError, match=f"before round {number} the server showed this site another past"):
        receipt(folder, published(honest()))


@pytest.mark.parametrize("field", ["replies", "adapter_digest", "ledgers", "record"])
def test_a_report_that_was_edited_does_not_fit_its_own_chain(
    folder: Path, published: Callable[[Rows], Path], field: str
) -> None:
    rows = honest()
    other: dict[str, Any] = {
        "replies": {"north": OWN, "south": "d" * 64},
        "adapter_digest": "f" * 64,
        "ledgers": {},
        "record": {"entries": 1, "hash": "f" * 64},
    }
    rows[0][field] = other[field]
    with pytest.raises(LedgerError, match="round 1 was changed after the run"):
        receipt(folder, published(rows))


def test_a_run_that_lists_no_replies_has_no_receipt(folder: Path, published: Callable[[Rows], Path]) -> None:
    rows = honest()
    rows[0]["replies"] = {}
    with pytest.raises(LedgerError, match="there is no receipt"):
        receipt(folder, published(rows))


@pytest.mark.parametrize("rows", [[{}], [{"committed": True}], [{"committed": True, "round": 1, "replies": 3}], ["x"], 3])
def test_a_malformed_report_is_refused_in_one_sentence(folder: Path, published: Callable[[Rows], Path], rows: Any) -> None:
    with pytest.raises(LedgerError, match=r"malformed|not a readable report"):
        receipt(folder, published(rows))
