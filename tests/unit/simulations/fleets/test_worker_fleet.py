"""Sites in worker processes: the same numbers as in one process, and what happens when a worker dies."""

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from federated import data_of
from fixture_types import ConfigOf, RecordsOf

from client.data_stage.site_data import SiteData
from server.rounds import Round
from shared.adapters.peft import read_adapter
from shared.config.run import RunConfig
from shared.errors import DataError
from shared.wire.messages import TrainOrder
from simulations.assembly import Federation, assemble, federate, held_out_records
from simulations.fleets.hosting import DIED
from simulations.fleets.pool import seats
from simulations.fleets.workers import WorkerPool
from simulations.planning import Plans
from simulations.studies.baselines import baselines_of

SITES = [
    {"id": name, "file": f"{name}.jsonl", "declared_size": size}
    for name, size in (("north", 24), ("east", 20), ("south", 16))
]
CHANGES: dict[str, Any] = {
    "data.sites": SITES,
    "model.dtype": "float32",
    "model.device": "cpu",
    "model.max_length": 24,
    "adapter": {"rank": 2, "last_layers": 1},  # a layer lies below the adapter, so its states are cached
    "cohort.min_records": 4,
    "cohort.quorum": 1,
    "training": {"rounds": 2, "steps": 3, "sampling_rate": 0.4, "micro_batch_tokens": 128},
    "privacy.epsilon": 1.0,
    "privacy.enabled": False,
    "evaluation.bootstrap": 100,
}


@pytest.fixture
def config(config_of: ConfigOf, tiny_bert: Path) -> RunConfig:
    return config_of({**CHANGES, "model.name": str(tiny_bert)})


@contextmanager
def prepared(config: RunConfig, data: Sequence[SiteData], folder: Path, workers: int) -> Iterator[Federation]:
    (folder / ".workers-of-a-killed-run").mkdir(parents=True)
    with WorkerPool(workers) as pool:
        yield assemble(
            config, Plans.of(config), data, held_out_records(config, data), folder, pool=pool if workers > 1 else None
        )
    assert multiprocessing.active_children() == []
    assert list(folder.glob(".workers-*")) == [folder / ".workers-of-a-killed-run"] * (workers == 1)


def trained(prepared: Federation, config: RunConfig) -> list[Round]:
    measure = prepared.measures.evaluate
    return list(federate(prepared, config, "run", lambda _: None, measure, lambda _: None))


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_pool_gives_the_rounds_and_baselines_of_one_process_bit_for_bit_and_prints_nothing(
    config: RunConfig, records_of: RecordsOf, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = data_of(config, records_of)
    with prepared(config, data, tmp_path / "alone", 1) as alone:
        wanted_baselines = baselines_of(alone.measures.evaluator, alone.sites)
        wanted = trained(alone, config)
    capfd.readouterr()
    with prepared(config, data, tmp_path / "pool", 2) as pooled:
        assert [row.metrics for row in baselines_of(pooled.measures.evaluator, pooled.sites, pooled.embeddings)] == [
            row.metrics for row in wanted_baselines
        ]
        found = trained(pooled, config)
    assert capfd.readouterr() == ("", "")
    assert [done.adapter_digest for done in found] == [done.adapter_digest for done in wanted]
    assert [done.metrics for done in found] == [done.metrics for done in wanted]
    assert [done.accepted for done in found] == [("east", "north", "south")] * 2
    assert all(abs(one.bytes_up - other.bytes_up) < 300 for one, other in zip(found, wanted, strict=True))


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize(
    "trust", [{}, {"privacy.trust": "distributed", "aggregation": {"optimiser": "adamw", "weights": "declared"}}]
)
def test_the_sites_of_a_pool_are_charged_as_those_of_one_process(
    config_of: ConfigOf, tiny_bert: Path, records_of: RecordsOf, tmp_path: Path, trust: dict[str, Any]
) -> None:
    changes = {**CHANGES, "model.name": str(tiny_bert), "privacy.enabled": True, **trust}
    if trust:
        changes |= {"training.steps": 1, "cohort.quorum": 3, "training": {**CHANGES["training"], "steps": 1}}
    config = config_of(changes)
    data, charged = data_of(config, records_of), []
    for workers in (1, 2):
        with prepared(config, data, tmp_path / str(workers), workers) as each:
            assert all(done.committed for done in trained(each, config))
            charged.append(
                [
                    (
                        site.site_id,
                        site.budget.spent().epsilon,
                        site.budget.rounds("run"),
                        [entry.kind for entry in site.budget.ledger.entries()],
                        [entry.body.get("noise_multiplier") for entry in site.budget.ledger.entries()],
                    )
                    for site in each.sites
                ]
            )
    assert charged[0] == charged[1]
    assert all(epsilon > 0 for _, epsilon, *_ in charged[0])


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread", "forked_workers")
def test_a_worker_that_dies_costs_no_answer_and_a_site_that_ends_two_workers_is_one_failed_answer(
    config: RunConfig, records_of: RecordsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_of(config, records_of)
    monkeypatch.setenv("HUSHTUNE_FAULT", "training@1")  # both workers are killed by their first order
    with prepared(config, data, tmp_path / "run", 2) as pooled:
        monkeypatch.setenv("HUSHTUNE_FAULT", "training@2")  # and those in their place by each order of round 2
        fleet, adapter = pooled.fleet(lambda _: None), read_adapter(pooled.learner.model)

        sent: dict[str, int] = {}

        def errors(number: int) -> dict[str, str | None]:
            orders = {
                site: TrainOrder("run", number, f"n-{site}", config, adapter, 3, "0.1.0") for site in fleet.connected()
            }
            answers = list(fleet.ask(orders, 60.0))
            sent.update({answer.site_id: answer.bytes_down for answer in answers})
            return {answer.site_id: answer.error for answer in answers}

        # east and south have one worker; the new worker builds south, which it has never seen
        assert errors(1) == {"north": None, "east": None, "south": None}
        assert pooled.sites[0].budget.rounds("run") == (1,)
        whole = sent["south"]
        assert errors(2) == {"north": DIED, "east": DIED, "south": DIED}
        assert all(abs(each - whole) < 300 for each in sent.values())  # an order's bytes count, though its worker died
        assert errors(1) == {"north": None, "east": None, "south": None}  # the stored replies of round 1, sent again


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_a_site_that_cannot_take_part_ends_a_pool_with_the_sentence_of_one_process(
    config_of: ConfigOf, tiny_bert: Path, records_of: RecordsOf, tmp_path: Path
) -> None:
    config = config_of({**CHANGES, "model.name": str(tiny_bert), "cohort.min_records": 21})
    data, sentences = data_of(config, records_of), []
    for workers in (1, 2):
        with pytest.raises(DataError) as caught, prepared(config, data, tmp_path / str(workers), workers):
            pytest.fail("the run began")
        sentences.append(str(caught.value))
    assert sentences[0] == sentences[1]
    assert sentences[0].startswith("site east: has fewer usable training records")
    assert multiprocessing.active_children() == []


def test_sites_are_shared_out_by_size() -> None:
    assert seats({"a": 5, "b": 4, "c": 3, "d": 3}, 2) == {"a": 0, "b": 1, "c": 1, "d": 0}
    assert set(seats({f"site{number}": 1 for number in range(100)}, 8).values()) == set(range(8))
