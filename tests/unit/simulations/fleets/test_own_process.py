"""Many sites in one process: the same numbers as with all of them in memory, and each checked only once."""

from pathlib import Path
from typing import Any

import pytest
from federated import data_of
from fixture_types import ConfigOf, RecordsOf

from client import site as site_module
from simulations.assembly import Remote, assemble, federate, held_out_records
from simulations.fleets import hosting
from simulations.fleets.own_process import OwnProcess
from simulations.fleets.pool import Pool
from simulations.planning import Plans
from simulations.studies.baselines import baselines_of

SITES = [{"id": name, "file": f"{name}.jsonl", "declared_size": 20} for name in ("north", "east", "south")]
CHANGES: dict[str, Any] = {
    "data.sites": SITES,
    "model.dtype": "float32",
    "model.device": "cpu",
    "model.max_length": 24,
    "adapter": {"rank": 2, "last_layers": 1},
    "cohort.min_records": 4,
    "cohort.quorum": 1,
    "training": {"rounds": 2, "steps": 2, "sampling_rate": 0.4},
    "evaluation.bootstrap": 100,
}


@pytest.fixture
def two_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosting, "MOST_SITES", 2)


@pytest.mark.slow
@pytest.mark.usefixtures("two_in_memory")
def test_sites_that_are_built_on_demand_give_the_rounds_and_baselines_of_sites_in_memory_bit_for_bit(
    config_of: ConfigOf, tiny_bert: Path, records_of: RecordsOf, tmp_path: Path
) -> None:
    config = config_of({**CHANGES, "model.name": str(tiny_bert), "privacy.enabled": False})
    data = data_of(config, records_of)

    def found(pool: Pool | None, folder: Path) -> tuple[list[Any], list[Any]]:
        folder.mkdir()
        ready = assemble(config, Plans.of(config), data, held_out_records(config, data), folder, pool=pool)
        assert all(isinstance(site, Remote) for site in ready.sites) == (pool is not None)
        baselines = baselines_of(ready.measures.evaluator, ready.sites, ready.embeddings)
        rounds = federate(ready, config, "run", lambda _: None, ready.measures.evaluate, lambda _: None)
        told = [(done.adapter_digest, done.metrics, done.accepted) for done in rounds]
        return [row.metrics for row in baselines], told

    with OwnProcess() as pool:
        apart = found(pool, tmp_path / "apart")
    assert apart == found(None, tmp_path / "together")


@pytest.mark.slow
@pytest.mark.usefixtures("two_in_memory")
def test_the_gradients_of_a_site_are_checked_once_though_it_is_built_in_each_round_and_it_is_charged_each_round(
    config_of: ConfigOf, tiny_bert: Path, records_of: RecordsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of({**CHANGES, "model.name": str(tiny_bert), "privacy.epsilon": 1.0})
    data, checked, check = data_of(config, records_of), [], site_module.self_check

    def counted(*given: Any) -> Any:
        checked.append(given)
        return check(*given)

    monkeypatch.setattr(site_module, "self_check", counted)
    with OwnProcess() as pool:
        ready = assemble(config, Plans.of(config), data, held_out_records(config, data), tmp_path, pool=pool)
        rounds = list(federate(ready, config, "run", lambda _: None, lambda _: {}, lambda _: None))
    assert [len(done.accepted) for done in rounds] == [3, 3]
    assert len(checked) == 3
    assert [site.budget.rounds("run") for site in ready.sites] == [(1, 2)] * 3
