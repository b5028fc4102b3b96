"""A step split over several processes is the step of one process: same sum, one batch, one noise, one charge, or no step."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import Change, LearnerOf, OpenBudget, RecordsOf, Shake
from forked import forks
from one_site import site_of
from silence import silence

from client import trainer, workers
from client.optimizer import optimizer_of
from client.site import Site
from client.trainer import Trained, train
from client.units import TrainingSet
from client.worker import Part, Sum, share
from client.workers import Workers, environment_of
from privacy.dp import mechanism
from privacy.dp.engine import make_private, sharing, summing
from privacy.dp.plan import ClippingMode, PrivacyPlan
from privacy.secagg.shared_plan import SharedNoise
from shared.adapters.peft import read_adapter
from shared.config.run import RunConfig
from shared.errors import PrivacyError, RunError
from shared.tasks.base import Learner
from shared.wire.messages import TrainOrder

PLAN = PrivacyPlan(0.2, 1.0, 0.5, 2, 2, 1e-4, 100)


class Here(Workers):
    """Computes the shares of the other processes in this one, on models of their own."""

    def __init__(self, config: RunConfig, learner: Learner, plan: PrivacyPlan | None, split: Sequence[Learner]) -> None:
        super().__init__(config, len(split) + 1)
        self._learner, self._plan = learner, plan
        self.split, self._crew = split, list(range(len(split)))  # type: ignore[assignment]
        self.asked: list[Part] = []
        self.answers: list[Sum] = []

    def _send(self, worker: Any, order: Part) -> None:
        self.asked.append(order)
        self.answers.append(share(self.split[worker], order, self._config))

    def _answer(self, worker: Any, kind: type[Any]) -> Any:
        return self.answers[worker - len(self.split)]

    def close(self) -> None:
        self._crew = []


def drawing(monkeypatch: pytest.MonkeyPatch, *batches: Sequence[int]) -> list[int]:
    """Let training draw these batches, and return the list that gets how many records were drawn from."""
    asked: list[int] = []

    def drawn(records: int, *_: object) -> Iterator[Any]:
        asked.append(records)
        yield from (np.array(batch, dtype=np.int64) for batch in batches)

    monkeypatch.setattr(trainer, "poisson_batches", drawn)
    return asked


def trained(config: RunConfig, learner: Learner, data: TrainingSet, plan: PrivacyPlan | None, split: Any) -> Trained:
    given = {"round_number": 1, "divisor": 20.0, "site_id": "north", "moments": None, "split": split}
    return train(learner, data, read_adapter(learner.model), config, plan, **given)


def gradients(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Return the list that gets the gradient of each step, as the optimiser sees it."""
    seen: list[torch.Tensor] = []
    original = torch.optim.AdamW.step

    def watched(optimizer: torch.optim.AdamW, *given: Any) -> Any:
        seen.append(torch.cat([p.grad.flatten() for group in optimizer.param_groups for p in group["params"]]).clone())
        return original(optimizer, *given)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    return seen


def exact(learner: Learner) -> Learner:
    learner.model.double()
    return learner


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).norm() / other.norm())


BATCHES = ([0, 3, 4, 9, 11, 12, 17], [5], [])  # an odd number, one share of nothing, and nothing at all


@pytest.mark.parametrize("clipping", ["flat", "automatic", "per-layer", "adaptive"])
def test_without_noise_the_gradient_is_that_of_one_process(
    either: RunConfig,
    learner_of: LearnerOf,
    records_of: RecordsOf,
    shake: Shake,
    monkeypatch: pytest.MonkeyPatch,
    clipping: ClippingMode,
) -> None:
    drawing(monkeypatch, *BATCHES)
    noise, seen, moments = silence(monkeypatch), gradients(monkeypatch), []
    plan = replace(PLAN, clipping=clipping)
    learner = exact(learner_of(either))
    shake(learner)
    data, start = TrainingSet.of(learner.task.encode(records_of(either, 20))), read_adapter(learner.model)
    three = Here(either, learner, plan, [exact(learner_of(either)) for _ in range(2)])
    for split in (trainer.unsplit, three.sharing):
        trainer.write_adapter(learner.model, start)
        moments.append(trained(either, learner, data, plan, split).moments)
    alone, shared = seen[:3], seen[3:]
    assert apart(shared[0], alone[0]) < 1e-7  # layers in float64, losses in float32; TestRealProcesses is all in float32
    assert not shared[2].any()
    assert not alone[2].any()
    assert noise[: len(noise) // 2] == noise[len(noise) // 2 :]  # as many draws, each of the same size
    if clipping == "adaptive":  # its C follows a count over all processes
        one, other = (float(state.arrays["clipping_norm"][0]) for state in moments)
        assert other == pytest.approx(one, rel=1e-6)
        assert one != PLAN.clipping_norm


def test_without_privacy_the_gradient_is_that_of_one_process(
    classify: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = change(classify, {"privacy.enabled": False})
    drawing(monkeypatch, *BATCHES)
    seen = gradients(monkeypatch)
    for split in (False, True):
        learner = learner_of(config)
        data = TrainingSet.of(learner.task.encode(records_of(config, 20)))
        crew = Here(config, learner, None, [learner_of(config)]).sharing if split else trainer.unsplit
        trained(config, learner, data, None, crew)
    assert apart(seen[3], seen[0]) < 1e-6


def test_the_sum_of_a_secure_sum_is_that_of_one_process(
    classify: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, shake: Shake
) -> None:
    shared = SharedNoise(sites=3, fewest=3, colluders=1, expected_batch=30.0, slack=1.0)
    plan = PrivacyPlan(0.2, 1.0, 0.5, 1, 3, 1e-4, 100, trust="distributed", shared=shared)
    totals = []
    for split in (False, True):
        learner = learner_of(classify)
        shake(learner)
        rows = TrainingSet.of(learner.task.encode(records_of(classify, 9))).rows(range(9), 0)
        crew = Here(classify, learner, plan, [learner_of(classify)]).sharing if split else trainer.unsplit
        with summing(learner.model, plan) as (model, step):
            with crew(step, rows, None) as own:
                trainer.accumulate(learner, model, step, own, None, classify.training)
            totals.append(step.total())
    assert apart(totals[1], totals[0]) < 1e-6


def test_only_this_process_draws_a_batch_and_noise_and_every_share_is_of_its_bytes(
    classify: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = drawing(monkeypatch, [0, 1, 2, 3], [4, 5, 6])
    learner = learner_of(classify)
    crew = Here(classify, learner, PLAN, [learner_of(classify), learner_of(classify)])
    data = TrainingSet.of(learner.task.encode(records_of(classify, 20)))
    states, draws = [], []
    original = mechanism.rounded_gaussian
    monkeypatch.setattr(mechanism, "rounded_gaussian", lambda *a: draws.append(a[0]) or original(*a))

    def watched(*given: Any) -> Any:
        states.append(read_adapter(learner.model).digest())
        return crew.sharing(*given)

    trained(classify, learner, data, PLAN, watched)
    numbers = sum(array.size for array in read_adapter(learner.model).arrays.values())
    assert batches == [20]
    assert draws == [numbers, numbers]
    assert states[0] != states[1]  # noise moved the adapter
    assert [answer.adapter for answer in crew.answers] == [states[0]] * 2 + [states[1]] * 2
    shared = [[len(part.rows.units) for part in crew.asked if part.number == number] for number in (1, 2)]
    assert shared == [[1, 1], [1, 1]]  # of 4 and 3 records; the rest stays here


@pytest.fixture
def answers(
    classify: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Sum], Sum], str], Here]:
    """Return a function that changes what a second process answers, and expects that no step is taken for this reason."""

    def refused(changed: Callable[[Sum], Sum], reason: str) -> Here:
        drawing(monkeypatch, [0, 1, 2, 3])
        learner, steps = learner_of(classify), gradients(monkeypatch)
        crew = Here(classify, learner, PLAN, [learner_of(classify)])
        monkeypatch.setattr(crew, "_answer", lambda *_: changed(crew.answers[-1]))
        data = TrainingSet.of(learner.task.encode(records_of(classify, 20)))
        with pytest.raises(PrivacyError, match=f"{reason}, so nothing is released"):
            trained(classify, learner, data, PLAN, crew.sharing)
        assert not steps
        return crew

    return refused


def test_a_share_has_no_noise_and_the_same_one_comes_twice(
    classify: RunConfig, learner_of: LearnerOf, records_of: RecordsOf
) -> None:
    learner = learner_of(classify)
    rows = TrainingSet.of(learner.task.encode(records_of(classify, 6))).rows(range(6), 0)
    part = Part(1, read_adapter(learner.model), rows, None, PLAN)
    one, other = (share(learner, part, classify) for _ in range(2))
    assert np.array_equal(one.total, other.total)
    assert "array" not in repr((part, one))


@pytest.mark.parametrize("factor", [50.0, float("nan")])
def test_a_share_that_its_records_cannot_add_up_to_ends_the_step(answers: Any, factor: float) -> None:
    crew = answers(lambda answer: replace(answer, total=answer.total * factor), "larger sum than its records may add")
    assert not crew._crew  # what is under way belongs to no later step


@pytest.mark.parametrize("wrong", [{"number": 7}, {"adapter": "0" * 64}], ids=["step", "adapter"])
def test_a_share_of_another_step_or_adapter_ends_the_step(answers: Any, wrong: dict[str, Any]) -> None:
    answers(lambda answer: replace(answer, **wrong), "answered for another step")


def test_a_count_that_its_records_cannot_add_up_to_ends_the_step(classify: RunConfig, learner_of: LearnerOf) -> None:
    learner, plan = learner_of(classify), replace(PLAN, clipping="adaptive")
    optimizer = optimizer_of(learner.model, classify.training)
    with sharing(learner.model, plan) as (_, nothing):
        total = nothing.total()
    total[-1] = 1.0
    with (
        make_private(learner.model, optimizer, plan, 20.0) as (_, step),
        pytest.raises(PrivacyError, match="counted more records than it was given"),
    ):
        step.join(total, 1)


@pytest.fixture(scope="module")
def two(classify: RunConfig) -> Iterator[Workers]:
    """Return this process and one real worker, which the tests below share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shared.ops.workers.get_context", forks)
        crew = Workers(classify, 2)
        yield crew
        crew.close()


@pytest.fixture
def site(two: Workers, classify: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, open_budget: OpenBudget) -> Site:
    learner, records = learner_of(classify), records_of(classify, 30)
    return site_of("north", 100, classify, records, learner, PLAN, open_budget("north"), workers=two)


def order_of(site: Site, number: int = 1) -> TrainOrder:
    return TrainOrder("run", number, "nonce", site._config, read_adapter(site._learner.model), 3, "0.1.0")


@pytest.mark.slow
def test_the_sum_of_two_real_processes_is_that_of_one(
    two: Workers, site: Site, classify: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing(monkeypatch, *BATCHES)
    silence(monkeypatch)
    seen, start = gradients(monkeypatch), read_adapter(site._learner.model)
    for split in (two.sharing, trainer.unsplit):
        trainer.write_adapter(site._learner.model, start)
        trained(classify, site._learner, site._data, PLAN, split)
    assert apart(seen[0], seen[3]) < 1e-6
    assert not seen[2].any()


@pytest.mark.slow
def test_a_round_of_two_processes_is_charged_once(site: Site) -> None:
    order = order_of(site)
    reply, again = site.train(order), site.train(order)
    assert len(site.budget.rounds("run")) == 1
    assert reply.delta.digest() == again.delta.digest()


@pytest.mark.slow
def test_a_sum_over_processes_that_is_not_that_of_single_records_trains_nothing(
    two: Workers, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = workers.split
    monkeypatch.setattr(workers, "split", lambda rows, parts: true(rows, parts)[:1] * parts)  # one share twice
    with pytest.raises(PrivacyError, match=r"over several processes differs by .* so nothing is trained"):
        two._check(site._learner, PLAN, site._data.examples)


@pytest.mark.slow
def test_a_dead_process_ends_the_step_in_one_sentence_and_the_next_round_starts_another(
    two: Workers, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, draws, original = gradients(monkeypatch), silence(monkeypatch), trainer.accumulate
    [worker] = two._crew

    def killed(*given: Any) -> Any:  # while this process computes its own share
        if worker.process.is_alive():
            os.kill(worker.process.pid, signal.SIGKILL)
            worker.process.join()
        return original(*given)

    monkeypatch.setattr(trainer, "accumulate", killed)
    said = r"^a process of this site died \(exit status -9\), so the step was not taken"
    with pytest.raises(RunError, match=said) as caught:
        site.train(order_of(site))
    assert "\n" not in str(caught.value)
    assert not steps
    assert not draws
    assert len(site.budget.rounds("run")) == 1  # charged, although nothing was released
    site.train(order_of(site, 2))
    assert len(steps) == PLAN.steps_per_round
    assert two._crew != [worker]


@pytest.mark.parametrize(
    ("device", "present", "expected"),
    [
        ("cpu", {}, {}),
        ("cuda", {}, {"CUDA_VISIBLE_DEVICES": "2"}),
        ("cuda", {"CUDA_VISIBLE_DEVICES": "5, 3,GPU-ab"}, {"CUDA_VISIBLE_DEVICES": "GPU-ab"}),
    ],
)
def test_a_worker_sees_one_gpu(device: str, present: dict[str, str], expected: dict[str, str]) -> None:
    assert environment_of(2, torch.device(device), present) == expected
