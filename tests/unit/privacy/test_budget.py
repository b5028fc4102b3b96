import contextlib
import dataclasses
import itertools
import json
import math
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow
import pytest
from fixture_types import ConfigOf
from pyarrow import parquet

from privacy import accounting
from privacy.accounting import Accountant
from privacy.budget import Budget, Limit
from privacy.dp.plan import PrivacyPlan
from privacy.fingerprint import Dataset
from privacy.ledger import Ledger
from privacy.mechanism_event import MechanismEvent
from privacy.renyi_filter import filter_epsilon
from privacy.spending import Spent
from shared.errors import LedgerError
from shared.records.read import read_records
from shared.records.types import RawRecord, origin
from shared.wire.chain_head import ChainHead

PLAN = PrivacyPlan(1.0, 20.0, 1.0, steps_per_round=1, rounds=3, target_delta=1e-4, declared_size=40)
DELTA = 1e-4
epsilon = Accountant().epsilon
ROUND = epsilon(PLAN.events, DELTA)
Make = Callable[..., Budget]


def records(names: Sequence[str], person: str | None = None) -> list[RawRecord]:
    return [RawRecord({"text": name}, None, i, origin=origin([name]), person=person) for i, name in enumerate(names, 1)]


NAMES = [f"record number {i}" for i in range(12)]


@pytest.fixture
def budget(tmp_path: Path) -> Make:
    """Make a budget for some records on one ledger, which is opened again each time, as after a restart."""

    def make(found: Sequence[RawRecord], limit: float = 100.0) -> Budget:
        ledger = Ledger(tmp_path / "ledger", "north")
        return Budget(ledger, Dataset.of(found, ledger.key), Limit(limit, DELTA))

    return make


def spend(budget: Budget, run_id: str = "run", number: int = 1, plan: PrivacyPlan | None = PLAN) -> None:
    budget.reserve(run_id, number, plan, ChainHead())
    budget.commit(run_id, number)


def test_a_round_costs_its_plan_and_rounds_compose(budget: Make) -> None:
    mine = budget(records(NAMES))
    assert mine.spent().epsilon == 0
    spend(mine)
    assert mine.spent().epsilon == pytest.approx(ROUND)
    spend(mine, number=2)
    assert mine.spent().epsilon == pytest.approx(epsilon(PLAN.events * 2, DELTA))
    assert mine.spent().epsilon < 2 * ROUND


SAME = {
    "re-ordered": lambda: records(NAMES[::-1]),
    "one record added": lambda: records([*NAMES, "a new one"]),
    "first half": lambda: records(NAMES[:6]),
    "second half": lambda: records(NAMES[6:]),
    "other width, case and space": lambda: records([f"  {name.upper()}\u3000" for name in NAMES]),
    "doubled": lambda: records([*NAMES, *NAMES]),
}


@pytest.mark.parametrize("change", SAME)
def test_the_same_records_have_one_budget(budget: Make, change: str) -> None:
    """Whatever file they come in, and after a restart: spending follows the records."""
    spend(budget(records(NAMES)), "first")
    again = budget(SAME[change]())
    assert again.spent().epsilon == pytest.approx(ROUND)
    spend(again, "second")
    assert budget(records(NAMES)).spent().epsilon == pytest.approx(filter_epsilon(PLAN.events * 2, DELTA))


def test_the_worst_record_counts_over_halves_and_wholes(budget: Make) -> None:
    spend(budget(records(NAMES[:6])), "left")
    spend(budget(records(NAMES[6:])), "right")
    assert budget(records(NAMES)).spent().epsilon == pytest.approx(ROUND)
    spend(budget(records(NAMES[4:8])), "middle")
    assert budget(records(NAMES)).spent().epsilon == pytest.approx(filter_epsilon(PLAN.events * 2, DELTA))


def test_datasets_that_share_a_person_share_the_persons_budget(budget: Make) -> None:
    spend(budget(records(["an admission note"], person="p-17")), "first")
    assert budget(records(["a discharge letter"], person="p-17")).spent().epsilon == pytest.approx(ROUND)
    assert budget(records(["a discharge letter"], person="p-18")).spent().epsilon == 0


def test_a_run_that_cannot_be_paid_to_its_end_is_refused_before_anything_is_spent(budget: Make) -> None:
    mine = budget(records(NAMES), limit=ROUND * 1.01)
    with pytest.raises(LedgerError, match=r"budget exhausted: .* a run of 3 rounds would make it"):
        mine.refuse_beyond(PLAN)
    assert len(mine.ledger.entries()) == 1


def test_no_round_goes_beyond_the_limit(budget: Make) -> None:
    mine = budget(records(NAMES), limit=epsilon(PLAN.events * 3, DELTA))
    for number in (1, 2, 3):
        spend(mine, number=number)
    assert mine.spent().epsilon <= mine.limit.epsilon
    with pytest.raises(LedgerError, match=r"budget exhausted: some of these records have spent .* 3 rounds left of run two"):
        mine.reserve("two", 1, PLAN, ChainHead())
    assert mine.rounds("run") == (1, 2, 3)
    assert mine.rounds("two") == ()


@pytest.mark.parametrize("ids", [["0042", "0007"], ["42", "7"], ["A17", "0042"]])
@pytest.mark.parametrize(("first", "second"), list(itertools.permutations([".csv", ".jsonl", ".parquet"], 2)))
def test_what_a_person_spent_is_known_in_another_format_and_beside_other_ids(
    budget: Make, config_of: ConfigOf, tmp_path: Path, first: str, second: str, ids: Sequence[str]
) -> None:
    config = config_of({"data.columns.person": "pid"})
    runs = []
    for suffix, letter, people in ((first, "first", ids), (second, "second", ids[1:])):
        rows = [{"text": f"the {letter} letter {i}", "label": "no", "pid": pid} for i, pid in enumerate(people)]
        path = tmp_path / f"{letter}{suffix}"
        if suffix == ".parquet":
            parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        elif suffix == ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        else:
            path.write_text("text,label,pid\n" + "".join(f"{','.join(row.values())}\n" for row in rows), encoding="utf-8")
        runs.append(read_records(path, config))
    persons = replace(PLAN, unit="person")
    limit = epsilon(PLAN.events * 3, DELTA)
    for number in (1, 2, 3):
        spend(budget(runs[0], limit), number=number, plan=persons)
    with pytest.raises(LedgerError, match="budget exhausted: some of these records have spent"):
        budget(runs[1], limit).reserve("two", 1, persons, ChainHead())


def test_a_round_is_reserved_only_while_the_run_can_be_paid_to_its_end(budget: Make) -> None:
    mine = budget(records(NAMES), limit=epsilon(PLAN.events * 2, DELTA))
    with pytest.raises(LedgerError, match="the 3 rounds left of run run"):
        mine.reserve("run", 1, PLAN, ChainHead())
    spend(mine, number=2)  # a site that joined late pays what is left
    spend(mine, number=3)
    assert mine.spent().epsilon <= mine.limit.epsilon


def test_a_limit_over_all_datasets_bounds_those_that_share_nothing(budget: Make) -> None:
    spend(budget(records(NAMES)), "first")
    other = budget(records(["something else"]))
    tight = replace(other, in_all=Limit(epsilon(PLAN.events * 3, DELTA), DELTA))
    with pytest.raises(LedgerError, match="budget exhausted over all datasets of the site"):
        tight.reserve("second", 1, PLAN, ChainHead())
    spend(other, "second")


def test_an_open_reservation_counts_and_is_used_again(budget: Make) -> None:
    mine = budget(records(NAMES))
    first = mine.reserve("run", 1, PLAN, ChainHead())
    assert mine.spent().epsilon == pytest.approx(ROUND)
    again = budget(records(NAMES))  # the process died in between
    assert again.reserve("run", 1, PLAN, ChainHead()) == first
    assert again.spent().epsilon == pytest.approx(ROUND)


def test_a_round_is_not_trained_again_once_a_later_round_of_its_run_may_have_used_what_it_computed(budget: Make) -> None:
    mine = budget(records(NAMES))
    first = mine.reserve("run", 1, PLAN, ChainHead())
    mine.reserve("another", 2, PLAN, ChainHead())
    assert mine.reserve("run", 1, PLAN, ChainHead()) == first  # rounds of other runs use nothing of this one
    mine.reserve("run", 2, PLAN, ChainHead())
    with pytest.raises(LedgerError, match="a later round may have used what it computed"):
        budget(records(NAMES)).reserve("run", 1, PLAN, ChainHead())
    assert mine.reserve("run", 2, PLAN, ChainHead()).body["round"] == 2


def test_a_round_that_was_answered_is_not_answered_again(budget: Make) -> None:
    spend(budget(records(NAMES)))
    with pytest.raises(LedgerError, match="round 1 of run run was trained and answered before"):
        budget(records(NAMES)).reserve("run", 1, PLAN, ChainHead())


def test_an_open_reservation_serves_no_other_adapter_to_start_from(budget: Make) -> None:
    mine = budget(records(NAMES))
    first = mine.reserve("run", 1, PLAN, ChainHead(), start="a" * 64)
    assert mine.reserve("run", 1, PLAN, ChainHead(), start="a" * 64) == first
    with pytest.raises(LedgerError, match="reserved for another adapter to start from"):
        mine.reserve("run", 1, PLAN, ChainHead(), start="b" * 64)
    mine.reserve("run", 2, PLAN, ChainHead())  # as an earlier version did
    mine.reserve("run", 2, PLAN, ChainHead(), start="b" * 64)


def test_an_open_reservation_serves_no_other_plan_and_no_other_records(budget: Make) -> None:
    budget(records(NAMES)).reserve("run", 1, PLAN, ChainHead())
    with pytest.raises(LedgerError, match="reserved for other records"):
        budget(records([*NAMES, "one more"])).reserve("run", 1, PLAN, ChainHead())
    louder = PrivacyPlan(1.0, 10.0, 1.0, steps_per_round=1, rounds=3, target_delta=1e-4, declared_size=40)
    with pytest.raises(LedgerError, match="reserved for another plan"):
        budget(records(NAMES)).reserve("run", 1, louder, ChainHead())


def test_closing_a_round_twice_changes_nothing(budget: Make) -> None:
    mine = budget(records(NAMES))
    mine.reserve("run", 1, PLAN, ChainHead())
    assert mine.commit("run", 1) == mine.commit("run", 1)
    with pytest.raises(LedgerError, match="never reserved"):
        mine.commit("run", 2)


def test_records_used_without_privacy_have_no_epsilon_left(budget: Make) -> None:
    mine = budget(records(NAMES))
    spend(mine, plan=None)
    assert mine.spent().epsilon == math.inf
    with pytest.raises(LedgerError, match="used without privacy before"):
        budget(records(NAMES[:1])).refuse_beyond(PLAN)
    spend(mine, "another", plan=None)  # it makes nothing worse


def test_releases_are_charged_like_training(budget: Make) -> None:
    metrics = MechanismEvent(1.0, 30.0, 1, "metrics")
    plan = PrivacyPlan(1.0, 20.0, 1.0, 1, 3, 1e-4, 40, releases=(metrics,))
    mine = budget(records(NAMES))
    spend(mine, plan=plan)
    assert mine.spent().epsilon == pytest.approx(epsilon([*PLAN.events, metrics], DELTA))
    assert mine.spent().epsilon > ROUND


def _compete(folder: Path, run_id: str, limit: float) -> None:
    """One of two runs that reserve rounds on the same records until the budget refuses."""
    ledger = Ledger(folder, "north")
    mine = Budget(ledger, Dataset.of(records(NAMES), ledger.key), Limit(limit, DELTA))
    with contextlib.suppress(LedgerError):
        for number in range(1, 10_000):
            mine.reserve(run_id, number, PLAN, ChainHead())


@pytest.mark.slow
def test_two_hundred_interleavings_of_two_runs_never_overspend(tmp_path: Path) -> None:
    """Two processes on one dataset; the filter's budget pays 200 rounds, however the processes take turns."""
    folder = tmp_path / "ledger"
    Ledger(folder, "north")
    context = multiprocessing.get_context("fork")
    limit = filter_epsilon(PLAN.events * 200, DELTA)
    runs = [context.Process(target=_compete, args=(folder, f"run-{i}", limit)) for i in (0, 1)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    reserved = [entry for entry in Ledger(folder, "north").entries() if entry.kind == "reserve"]
    assert len(reserved) == 200
    assert {entry.body["run_id"] for entry in reserved} == {"run-0", "run-1"}
    assert [run.exitcode for run in runs] == [0, 0]


def test_epsilons_of_records_and_of_persons_are_never_added_up(budget: Make) -> None:
    mine = budget(records(NAMES))
    spend(mine)
    persons = dataclasses.replace(PLAN, unit="person")
    with pytest.raises(LedgerError, match=r"used with privacy\.unit = 'record'"):
        mine.refuse_beyond(persons)
    with pytest.raises(LedgerError, match="cannot be added to one of a person"):
        mine.reserve("another", 1, persons, ChainHead())
    budget(records(["never seen before"])).refuse_beyond(persons)


def test_a_person_has_spent_what_any_of_their_records_has(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger", "north")
    persons = dataclasses.replace(PLAN, unit="person")
    for number, name in enumerate(NAMES[:2]):
        alone = Dataset.of(records([name], f"name in file {number}"), ledger.key, by_person=True)
        spend(Budget(ledger, alone, Limit(100.0, DELTA)), f"run {number}", plan=persons)
    both = Dataset.of(records(NAMES[:2], "one person after all"), ledger.key, by_person=True)
    assert Budget(ledger, both, Limit(100.0, DELTA)).spent().epsilon == pytest.approx(filter_epsilon(PLAN.events * 2, DELTA))


WHOLE = epsilon(PLAN.events * PLAN.rounds, DELTA)
FILTERED = filter_epsilon(PLAN.events * PLAN.rounds, DELTA)
FAINT = dataclasses.replace(PLAN, noise_multiplier=2000.0, rounds=1)


def test_a_run_of_exactly_the_limit_is_paid_to_its_end(budget: Make) -> None:
    """Its plan is fixed in advance, so the filter's dearer figure is not for it."""
    assert FILTERED > WHOLE * 1.1
    for number in (1, 2, 3):
        spend(budget(records(NAMES), limit=WHOLE), number=number)
    assert budget(records(NAMES)).spent() == Spent(WHOLE, "plan")


def test_a_second_run_is_paid_only_while_the_filter_passes_both(budget: Make) -> None:
    """Composed as if fixed together they would fit; but the second may have been chosen after the first one's results."""
    both = [*PLAN.events, *FAINT.events]
    limit = filter_epsilon(PLAN.events * 3, DELTA)
    spend(budget(records(NAMES), limit), "first")
    together = epsilon([*PLAN.events * 3, *FAINT.events], DELTA)
    assert together < limit
    with pytest.raises(LedgerError, match=r"make it \S+ by the filter for runs that may have been chosen"):
        budget(records(NAMES), filter_epsilon(both, DELTA) * 0.999).reserve("second", 1, FAINT, ChainHead())
    spend(budget(records(NAMES), limit), "second", plan=FAINT)
    assert budget(records(NAMES)).spent() == Spent(filter_epsilon(both, DELTA), "filter")


def test_a_run_paid_by_its_plan_alone_shuts_out_the_records_of_it_alone_too(budget: Make) -> None:
    """Records 0 to 5 were in a faint run before, so for them it was a second run; 6 to 11 had it as their first."""
    late = dataclasses.replace(PLAN, rounds=4)
    limit = filter_epsilon([*FAINT.events, *PLAN.events * 3], DELTA)
    assert epsilon(late.events * 3, DELTA) < limit < filter_epsilon(late.events * 4, DELTA)
    spend(budget(records(NAMES[:6]), limit), "faint", plan=FAINT)
    spend(budget(records(NAMES), limit), "late", number=2, plan=late)  # joins in round 2, so three rounds are left
    spend(budget(records(NAMES[:6]), limit), "another", plan=FAINT)
    with pytest.raises(LedgerError, match="budget exhausted: some of these records"):
        budget(records(NAMES), limit).reserve("one more", 1, FAINT, ChainHead())


def test_a_limit_over_all_datasets_counts_a_second_run_by_the_filter(budget: Make) -> None:
    spend(budget(records(NAMES)), "first")
    other = replace(budget(records(["something else"])), in_all=Limit(filter_epsilon(PLAN.events * 2, DELTA) * 0.999, DELTA))
    one = dataclasses.replace(PLAN, rounds=1)
    assert epsilon(PLAN.events * 2, DELTA) < other.in_all.epsilon  # type: ignore[union-attr]
    with pytest.raises(LedgerError, match=r"over all datasets of the site: .* by the filter"):
        other.reserve("second", 1, one, ChainHead())


def test_a_ledger_that_was_written_before_whole_plans_were_goes_on(budget: Make) -> None:
    mine = budget(records(NAMES))
    mechanism = {"unit": "record", "relation": PLAN.relation, "target_delta": DELTA, "plan": PLAN.digest()}
    events = [dataclasses.asdict(event) for event in PLAN.events]
    with mine.ledger.locked():
        seen = {"server_entries": 0, "server_hash": ""}
        mine.ledger.reserve(mine.dataset, run_id="run", round=1, events=events, **mechanism, **seen)
    assert mine.spent() == Spent(ROUND, "plan")
    spend(mine, number=2)
    assert mine.spent().epsilon == pytest.approx(epsilon(PLAN.events * 2, DELTA))


def test_only_the_whole_plan_is_composed_for_the_rounds_left_of_a_run(budget: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    compose = accounting.composed
    monkeypatch.setattr(
        accounting, "composed", lambda counts, losses: (asked.append(counts.total()), compose(counts, losses))[1]
    )
    mine = replace(budget(records(NAMES)), accountant=Accountant())
    nobody_has_seen = replace(mine, dataset=Dataset([()]))
    for number in (1, 2, 3):
        nobody_has_seen.refuse_rest("run", number, PLAN)
        spend(mine, number=number)
    assert asked == [3]
    # The rounds left are still composed where the whole plan does not fit.
    tight = replace(nobody_has_seen, limit=Limit(epsilon(PLAN.events * 2, DELTA) + 1e-9, DELTA))
    tight.refuse_rest("another", 2, PLAN)
    with pytest.raises(LedgerError, match="budget exhausted"):
        tight.refuse_rest("another", 1, PLAN)
