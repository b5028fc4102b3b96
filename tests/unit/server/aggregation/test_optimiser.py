from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixture_types import ConfigOf
from hypothesis import given
from hypothesis import strategies as st
from toy_sites import ToyFleet, honest, toy_state

from privacy.dp.plan import PrivacyPlan
from server.aggregation import Memory, Setting, begin
from server.checkpoint import Checkpoint
from server.history import to_row
from server.rounds import Round, run_rounds
from server.state import StateFolder
from server.state import begin as begin_run
from shared.adapters.state import AdapterState
from shared.config.aggregation import AggregationSection
from shared.errors import ConfigError

MOMENTUM = {"aggregation.optimiser": "momentum"}
CENTRAL = {"privacy.trust": "central", "privacy.unit": "site"}
deltas = st.lists(st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=2), min_size=1, max_size=5)


def changes(rounds: Sequence[Sequence[float]], plan: PrivacyPlan | None = None, **section: Any) -> list[AdapterState]:
    """Return the change of each round, where each round has one reply."""
    memory: Memory = {}
    found = []
    for row in rounds:
        delta = AdapterState({"x": np.float32(row)})
        running = begin(Setting(delta, {"north": 1.0}, AggregationSection(**section), plan, memory))
        running.fold(delta, 1.0)
        aggregate = running.result()
        memory = aggregate.memory
        found.append(aggregate.change)
    return found


@given(deltas, st.floats(0, 0.99))
def test_momentum_is_a_decaying_sum_of_the_deltas(rounds: list[list[float]], share: float) -> None:
    found = changes(rounds, optimiser="momentum", momentum=share)[-1].arrays["x"]
    ages = range(len(rounds) - 1, -1, -1)
    expected = sum(share**age * np.float64(row) for age, row in zip(ages, rounds, strict=True))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
    assert found.dtype == np.float32


@given(deltas)
def test_momentum_of_0_is_plain(rounds: list[list[float]]) -> None:
    one, other = changes(rounds, optimiser="momentum", momentum=0), changes(rounds)
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine.arrays["x"], theirs.arrays["x"])


def test_under_a_trusted_servers_noise_it_is_post_processing(config_of: ConfigOf) -> None:
    sites = [{"id": f"s{i}", "file": "x.csv", "declared_size": 50} for i in range(300)]
    config_of({"data.sites": sites, **CENTRAL, **MOMENTUM})
    plan = PrivacyPlan(0.5, 2.0, 1.5, 1, 3, 1e-4, 200, unit="site", trust="central")
    first, second = changes([[0, 0], [0, 0]], plan, optimiser="momentum", momentum=0.5)
    assert (first.arrays["x"] != second.arrays["x"]).all()  # each round has noise of its own


def test_its_share_means_nothing_without_it(config_of: ConfigOf) -> None:
    with pytest.raises(ConfigError, match=r"aggregation\.momentum: does not apply to optimiser = 'plain'"):
        config_of({"aggregation.momentum": 0.5})


class Killed(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("point", ["before the commit", "in the commit", "after the commit"])
def test_a_run_that_is_killed_and_resumed_ends_with_the_same_bits(
    config_of: ConfigOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
) -> None:
    config, start = config_of({**MOMENTUM, "training.rounds": 4}), toy_state(1.0)

    def run(folder: StateFolder, dies_in: int | None) -> list[Round]:
        """Run what is left of the run in a folder; the server dies in one round."""
        beginning = begin_run(folder, config, fork=False)
        rounds = list(beginning.rounds)

        def commit(done: Round) -> None:
            if done.number == dies_in and point == "before the commit":
                raise Killed
            rows = [to_row(each) for each in [*rounds, done]]
            state = Checkpoint(beginning.run_id, done.number, config.digest(), done.adapter, rows, memory=done.memory)
            with monkeypatch.context() as patch:
                if done.number == dies_in and point == "in the commit":
                    patch.setattr(Path, "write_text", lambda *_, **__: (_ for _ in ()).throw(Killed))
                state.save(folder.checkpoint)
            if done.number == dies_in:
                raise Killed

        fleet = ToyFleet({"north": lambda order, site: honest(toy_state(0.1 * order.round**2))(order, site)})
        adapter = beginning.committed or start
        for done in run_rounds(config, "run", adapter, fleet, {"north": 1.0}, lambda _: {}, commit, last=beginning.last):
            rounds.append(done)
        return rounds

    through = run(StateFolder(tmp_path / "through"), None)[-1]
    folder = StateFolder(tmp_path / "killed")
    for number in (1, 2, 3):
        with pytest.raises(Killed):
            run(folder, number)
    resumed = run(folder, None)[-1]
    assert resumed.number == 4
    assert resumed.adapter.digest() == through.adapter.digest()
    assert resumed.memory["momentum"].digest() == through.memory["momentum"].digest()
    assert resumed.record == through.record
