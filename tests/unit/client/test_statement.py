import json
from collections.abc import Callable
from pathlib import Path

import pytest

from client.statement import statement, verify
from privacy.accounting import Accountant
from privacy.budget import Budget, Limit
from privacy.dp.plan import PrivacyPlan
from privacy.fingerprint import Dataset
from privacy.ledger import Ledger
from privacy.renyi_filter import filter_epsilon
from shared.errors import LedgerError
from shared.wire.chain_head import ChainHead

PLAN = PrivacyPlan(1.0, 20.0, 1.0, steps_per_round=1, rounds=3, target_delta=1e-4, declared_size=40)


def dataset(*numbers: int) -> Dataset:
    return Dataset([(bytes([number]) * 16,) for number in numbers])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two rounds on records 1 and 2, and one on records 2 and 3, which is not answered."""
    ledger = Ledger(tmp_path / "ledger", "north")
    first, second = (Budget(ledger, dataset(*numbers), Limit(10.0, 1e-4)) for numbers in ((1, 2), (2, 3)))
    for number in (1, 2):
        first.reserve("one", number, PLAN, ChainHead())
        first.commit("one", number)
    second.reserve("two", 1, PLAN, ChainHead())
    return ledger.folder


@pytest.fixture
def reported(folder: Path, tmp_path: Path) -> Callable[[ChainHead], Path]:
    """Write the report of a run in which the server saw this head of the ledger."""

    def write(head: ChainHead) -> Path:
        path = tmp_path / "report.json"
        rounds = [{"ledgers": {"north": {"entries": head.entries, "hash": head.hash}}}, {"ledgers": {}}]
        path.write_text(json.dumps({"rounds": rounds}))
        return path

    return write


def test_a_statement_has_every_reservation_and_what_each_dataset_spent(folder: Path) -> None:
    found = statement(folder)
    assert [(row["run_id"], row["round"], row["answered"]) for row in found["reservations"]] == [
        ("one", 1, True),
        ("one", 2, True),
        ("two", 1, False),
    ]
    assert found["target_delta"] == 1e-4
    three, filtered = Accountant().epsilon(PLAN.events * 3, 1e-4), filter_epsilon(PLAN.events * 3, 1e-4)
    assert [row["rounds"] for row in found["datasets"]] == [2, 1]
    # Record 2 is in both, so each dataset's bound is that of all three rounds, in two runs.
    for row in (*found["datasets"], found["in_all"]):
        assert row["epsilon"] == pytest.approx(filtered)
        assert row["if_planned_together"] == pytest.approx(three)
        assert row["counted_by"] == "filter"


def test_one_run_counts_by_its_plan(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger", "north")
    Budget(ledger, dataset(1), Limit(10.0, 1e-4)).reserve("one", 1, PLAN, ChainHead())
    counted = statement(ledger.folder)["in_all"]
    assert counted["epsilon"] == counted["if_planned_together"] == pytest.approx(Accountant().epsilon(PLAN.events, 1e-4))
    assert counted["counted_by"] == "plan"


def test_epsilon_is_told_at_another_delta_on_request(folder: Path) -> None:
    found = statement(folder, 1e-6)["in_all"]
    assert found["if_planned_together"] == pytest.approx(Accountant().epsilon(PLAN.events * 3, 1e-6))
    assert found["epsilon"] == pytest.approx(filter_epsilon(PLAN.events * 3, 1e-6))


def test_a_round_without_privacy_has_no_epsilon_and_no_infinity_in_json(folder: Path) -> None:
    ledger = Ledger(folder, "north")
    Budget(ledger, dataset(9), Limit(10.0, 1e-4)).reserve("three", 1, None, ChainHead())
    found = statement(folder)
    assert found["in_all"]["epsilon"] is found["in_all"]["if_planned_together"] is None
    assert [row["epsilon"] is None for row in found["datasets"]] == [False, False, True]
    json.dumps(found, allow_nan=False)


def test_a_whole_ledger_verifies_alone_and_against_what_a_server_saw(
    folder: Path, reported: Callable[[ChainHead], Path]
) -> None:
    entries = Ledger(folder, "north").entries()
    assert verify(folder) == {"entries": 6, "hash": entries[-1].hash, "heads_checked": 0}
    seen = ChainHead(5, entries[4].hash)
    assert verify(folder, reported(seen))["heads_checked"] == 1


def test_a_head_that_the_ledger_lacks_is_found(folder: Path, reported: Callable[[ChainHead], Path]) -> None:
    with pytest.raises(LedgerError, match="ends at entry 5, but entry 8 was seen before"):
        verify(folder, reported(ChainHead(9, "e" * 64)))
    with pytest.raises(LedgerError, match="entry 4 differs from the one that was seen before"):
        verify(folder, reported(ChainHead(5, "e" * 64)))


@pytest.mark.parametrize(
    ("part", "says"),
    [("head.json", "missing"), ("fingerprint.key", "missing"), ("datasets/*.ids", "cannot be read or written")],
)
def test_a_missing_part_is_found(folder: Path, part: str, says: str) -> None:
    next(folder.glob(part)).unlink()
    with pytest.raises(LedgerError, match=says):
        verify(folder)


@pytest.mark.parametrize("content", ["", "{}", '{"rounds": 3}', "[1]"])
def test_a_file_that_is_no_report_is_named(folder: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(LedgerError, match=r"other\.json: not a readable report of a run"):
        verify(folder, tmp_path / "other.json")


def test_a_folder_without_a_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"ledger\.jsonl: cannot be read"):
        statement(tmp_path)
