"""Sites on a Ray cluster of two nodes: the same numbers as in one process, and what happens when a node is lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from federated import data_of
from fixture_types import ConfigOf, RecordsOf

from server.rounds import Round
from shared.config.run import RunConfig
from shared.errors import RunError
from simulations.assembly import Federation, assemble, federate, held_out_records
from simulations.planning import Plans
from simulations.studies.baselines import baselines_of

pytest.importorskip("ray", reason="the extra 'ray' is not installed")
from ray.cluster_utils import Cluster

from simulations.fleets.ray import RayPool

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
ROUNDS, LOST = 4, 2  # rounds in all, and the one after which a node is lost
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}

# Ray asks its nodes whether they live, and would notice a lost one after half a minute. A busy one still has ten seconds.
NOTICED = {"initial_delay_ms": "500", "period_ms": "500", "failure_threshold": "3"}
# Ray runs its workers at niceness 15, at which they would take minutes to start while other tests keep the cores busy.
SETTINGS = {f"RAY_health_check_{name}": value for name, value in NOTICED.items()} | {"RAY_worker_niceness": "0"}


@pytest.fixture
def config(config_of: ConfigOf, tiny_bert: Path) -> RunConfig:
    sites = [{"id": name, "file": "x", "declared_size": size} for name, size in (("north", 24), ("east", 20), ("south", 16))]
    return config_of(
        {
            "data.sites": sites,
            "model": {"name": str(tiny_bert), "dtype": "float32", "device": "cpu", "max_length": 24},
            "adapter": {"rank": 2, "last_layers": 1},
            "cohort": {"min_records": 4, "quorum": 1},
            "training": {"rounds": ROUNDS, "steps": 3, "sampling_rate": 0.4, "micro_batch_tokens": 128},
            "privacy.enabled": False,
            "evaluation.bootstrap": 100,
        }
    )


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    started = Cluster(initialize_head=True, head_node_args=NODE)
    yield started
    started.shutdown()


@pytest.mark.usefixtures("one_thread")
def test_a_cluster_gives_the_rounds_of_one_process_bit_for_bit_though_a_node_is_lost(
    cluster: Any, config: RunConfig, records_of: RecordsOf, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, measured = data_of(config, records_of), held_out_records(config, data_of(config, records_of))
    second = cluster.add_node(**NODE)
    (tmp_path / "alone").mkdir()
    (tmp_path / "cluster").mkdir()
    alone = assemble(config, Plans.of(config), data, measured, tmp_path / "alone")
    wanted_baselines = [row.metrics for row in baselines_of(alone.measures.evaluator, alone.sites)]
    wanted = trained(alone, config, lambda _: None)

    def lose_a_node(done: Round) -> None:
        if done.number == LOST:
            cluster.remove_node(second, allow_graceful=False)

    capfd.readouterr()
    with RayPool(cluster.address) as pool:
        there = assemble(config, Plans.of(config), data, measured, tmp_path / "cluster", pool=pool)
        baselines = [row.metrics for row in baselines_of(there.measures.evaluator, there.sites, there.embeddings)]
        found = trained(there, config, lose_a_node)
    assert "north" not in "".join(capfd.readouterr())
    assert baselines == wanted_baselines
    assert [done.adapter_digest for done in found] == [done.adapter_digest for done in wanted]
    assert [done.metrics for done in found] == [done.metrics for done in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert abs(one.bytes_up - other.bytes_up) < 300
        assert abs(one.bytes_down - other.bytes_down) < 300
    assert all(done.rejected == () for done in found)  # the tasks of the lost node were sent again to the node that is left
    assert all(done.accepted == ("east", "north", "south") for done in found)
    assert list((tmp_path / "cluster").glob(".workers-*")) == []


def trained(prepared: Federation, config: RunConfig, commit: Any) -> list[Round]:
    return list(federate(prepared, config, "run", lambda _: None, prepared.measures.evaluate, commit))


def test_an_address_without_a_cluster_is_refused_in_one_sentence() -> None:
    with pytest.raises(RunError, match=r"^--ray 127\.0\.0\.1:9: no Ray cluster answers there \(\w+\); start"):
        RayPool("127.0.0.1:9")
