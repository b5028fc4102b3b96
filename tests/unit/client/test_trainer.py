from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal, get_args
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from fixture_types import Change, LearnerOf, RecordsOf
from hypothesis import given
from hypothesis import strategies as st
from silence import silence

from client import trainer
from client.trainer import Trained, train
from client.units import TrainingSet
from privacy.dp.plan import PrivacyPlan
from shared.adapters.peft import read_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.config.training import TrainingSection
from shared.errors import RunError
from shared.records.types import Record
from shared.schedule import schedule
from shared.seeds import derive
from shared.tasks.base import Learner

Schedule = Literal["linear", "cosine", "constant"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)
PLAN = PrivacyPlan(0.2, 1.0, 0.5, steps_per_round=2, rounds=2, target_delta=1e-4, declared_size=100)


def run(
    learner: Learner,
    config: RunConfig,
    records: list[Record],
    plan: PrivacyPlan | None,
    round_number: int = 1,
    moments: AdapterState | None = None,
    **more: Any,
) -> Trained:
    data, start = TrainingSet.of(learner.task.encode(records)), read_adapter(learner.model)
    given = {"divisor": 20.0, "site_id": "north", **more}
    return train(learner, data, start, config, plan, round_number=round_number, moments=moments, **given)


def test_without_privacy_training_is_the_same_bit_for_bit(
    either: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf
) -> None:
    config = change(either, {"privacy.enabled": False, "adapter.dropout": 0.3})
    digests = set()
    for noise in (1, 2):
        torch.manual_seed(noise)  # what ran before must not matter
        digests.add(run(learner_of(config), config, records_of(config, 30), None).delta.digest())
    assert len(digests) == 1


def test_without_privacy_another_seed_site_or_round_samples_others(
    classify: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf
) -> None:
    config = change(classify, {"privacy.enabled": False})
    first, other = (run(learner_of(config), config, records_of(config, 40), None, number) for number in (1, 2))
    assert first.delta.digest() != other.delta.digest()


def test_under_privacy_no_two_runs_are_the_same_whatever_the_seed(
    classify: RunConfig, learner_of: LearnerOf, records_of: RecordsOf
) -> None:
    digests = set()
    for _ in range(2):
        torch.manual_seed(1)
        digests.add(run(learner_of(classify), classify, records_of(classify, 30), PLAN).delta.digest())
    assert len(digests) == 2


def test_under_privacy_the_sample_is_not_the_seeds(
    classify: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []
    original = trainer.poisson_batches

    def watched(*arguments: object) -> object:
        for batch in original(*arguments):  # type: ignore[arg-type]
            seen.append(batch.tolist())
            yield batch

    monkeypatch.setattr(trainer, "poisson_batches", watched)
    for _ in range(2):
        run(learner_of(classify), classify, records_of(classify, 60), PLAN)
    assert seen[:2] != seen[2:]


def test_under_privacy_dropout_has_a_seed_that_nobody_knows(
    classify: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, seeds = change(classify, {"adapter.dropout": 0.3}), []
    monkeypatch.setattr(torch, "manual_seed", seeds.append)
    for plan in (PLAN, PLAN, None, None):
        run(learner_of(config), config, records_of(config, 4), plan)
    assert len({seeds[0], seeds[1], derive(config.run.seed, "dropout", "north", 1)}) == 3
    assert seeds[2] == seeds[3]  # reproducible without privacy


@pytest.mark.parametrize("weights", [[8.0, 0.1], [8.0, 8.0]], ids=str)
def test_no_label_weight_gives_a_record_a_larger_share_than_the_clipping_norm(
    classify: RunConfig,
    change: Change,
    learner_of: LearnerOf,
    records_of: RecordsOf,
    monkeypatch: pytest.MonkeyPatch,
    weights: list[float],
) -> None:
    config = change(classify, {"training.sampling_rate": 1.0, "training.micro_batch_tokens": 64})
    plan = replace(PLAN, sampling_rate=1.0, clipping_norm=1e-3)
    silence(monkeypatch)
    shares: list[float] = []
    original = torch.optim.AdamW.step

    def watched(optimizer: torch.optim.AdamW, *given: object) -> object:
        gradients = [p.grad.double().flatten() for group in optimizer.param_groups for p in group["params"]]
        shares.append(float(torch.cat(gradients).norm()) * plan.expected_batch / plan.clipping_norm)
        return original(optimizer, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    for record in records_of(config, 12)[::3]:
        run(learner_of(config), config, [record], plan, divisor=plan.expected_batch, label_weights=np.array(weights))
    assert len(shares) == 4 * plan.steps_per_round
    assert max(shares) <= 1 + 1e-6
    assert max(shares) > 0.9  # so that the bound was met and not merely far away


def test_what_runs_is_the_plan_even_if_the_config_asks_for_more(
    classify: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = change(classify, {"training.sampling_rate": 0.9, "training.steps": 5})
    asked: list[tuple[object, ...]] = []
    original = trainer.poisson_batches

    def watched(*given: object) -> object:
        _, *schedule, _ = given
        asked.append(tuple(schedule))
        return original(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer, "poisson_batches", watched)
    run(learner_of(config), config, records_of(config, 30), PLAN)
    assert asked == [(PLAN.sampling_rate, PLAN.steps_per_round)]


def test_every_planned_step_draws_noise_even_without_records(
    classify: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    from privacy.dp import mechanism

    draws = []
    original = mechanism.rounded_gaussian
    monkeypatch.setattr(mechanism, "rounded_gaussian", lambda *a: draws.append(a) or original(*a))
    learner = learner_of(classify)
    trained = run(learner, classify, [], PLAN)
    numbers = sum(array.size for array in trained.delta.arrays.values())
    assert [count for count, *_ in draws] == [numbers] * PLAN.steps_per_round
    assert all(array.any() for array in trained.delta.arrays.values())


@pytest.mark.parametrize("changes", [{"training.checkpointing": True}, {"training.micro_batch_tokens": "auto"}], ids=str)
def test_what_saves_memory_does_not_change_the_result(
    either: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf, changes: dict[str, object]
) -> None:
    plain = change(either, {"privacy.enabled": False})
    one, other = (
        run(learner_of(config), config, records_of(plain, 30), None).delta for config in (plain, change(plain, changes))
    )
    for name, array in one.arrays.items():
        np.testing.assert_allclose(other.arrays[name], array, rtol=2e-3, atol=2e-5)


def test_under_checkpointing_each_layer_runs_again_in_the_backward_pass(
    either: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf
) -> None:
    counts = []
    for checkpointing in (False, True):
        config = change(either, {"privacy.enabled": False, "training.checkpointing": checkpointing})
        learner, calls = learner_of(config), [0]
        attention = next(
            m
            for name, m in learner.model.named_modules()
            if name.endswith("layers.0.self_attn") or name.endswith("layer.0.attention")
        )
        attention.register_forward_hook(lambda *_, calls=calls: calls.__setitem__(0, calls[0] + 1))
        run(learner, config, records_of(config, 30), None)
        counts.append(calls[0])
    assert counts[1] == 2 * counts[0] > 0


def test_without_privacy_and_without_records_nothing_changes(
    classify: RunConfig, change: Change, learner_of: LearnerOf
) -> None:
    config = change(classify, {"privacy.enabled": False})
    assert run(learner_of(config), config, [], None).delta.norm == 0


def test_training_lowers_the_loss(classify: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf) -> None:
    changes = {"privacy.enabled": False, "training.steps": 15, "training.rounds": 1, "training.sampling_rate": 1.0}
    config = change(classify, changes)
    learner = learner_of(config)
    records = [Record(r.fields, "yes" if r.fields["text"] < "d" else "no") for r in records_of(config, 30)]
    examples = learner.task.encode(records)

    def loss() -> float:
        learner.model.eval()
        batch = next(learner.batches(examples, range(30), 10**5))[1]
        with torch.no_grad():
            return float(learner.task.losses(learner.model, batch).mean())

    before = loss()
    run(learner, config, records, None)
    assert loss() < 0.8 * before


@given(st.integers(1, 30), st.integers(1, 30), st.floats(0, 0.95), st.sampled_from(SCHEDULES))
def test_the_rate_rises_over_the_warm_up_and_then_falls_but_never_to_0(
    rounds: int, steps: int, warmup: float, name: Schedule
) -> None:
    section = TrainingSection(rounds=rounds, steps=steps, warmup=warmup, schedule=name)
    factors = [schedule(step, section) for step in range(rounds * steps)]
    peak = factors.index(max(factors))
    assert all(0 < factor <= 1 for factor in factors)
    assert all(one < two for one, two in pairwise(factors[: peak + 1]))
    assert all(one >= two for one, two in pairwise(factors[peak:]))
    assert peak <= warmup * rounds * steps + 1


def test_schedules_end_where_they_say() -> None:
    last = {name: schedule(99, TrainingSection(rounds=10, steps=10, warmup=0.0, schedule=name)) for name in SCHEDULES}
    middle = {name: schedule(50, TrainingSection(rounds=10, steps=10, warmup=0.0, schedule=name)) for name in SCHEDULES}
    assert middle == pytest.approx({"linear": 0.5, "cosine": 0.5, "constant": 1.0})
    assert last["cosine"] < last["linear"] == pytest.approx(0.01)
    assert last["constant"] == 1


def test_the_head_has_its_own_rate(
    classify: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf
) -> None:
    config = change(classify, {"privacy.enabled": False, "training.head_learning_rate": 1e-12, "training.rounds": 1})
    delta = run(learner_of(config), config, records_of(config, 60), None).delta
    assert abs(delta.arrays["head.weight"]).max() < 1e-9
    assert max(abs(array).max() for name, array in delta.arrays.items() if "lora_B" in name) > 1e-4


def test_adaptive_clipping_goes_on_from_the_norm_of_the_round_before(
    classify: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf
) -> None:
    config = change(classify, {"privacy.clipping": "adaptive"})
    plan, learner, records = replace(PLAN, clipping="adaptive"), learner_of(config), records_of(config, 20)
    first = run(learner, config, records, plan).moments
    far = AdapterState({**first.arrays, "clipping_norm": np.array([77.0], dtype=np.float32)})
    second = run(learner, config, records, plan, 2, far).moments
    for moments, before in ((first, PLAN.clipping_norm), (second, 77)):
        assert 0.8 < moments.arrays["clipping_norm"][0] / before < 1.25  # two steps of at most a factor exp(0.1)


def test_what_a_models_library_raises_in_training_ends_in_one_sentence_without_its_text(
    classify: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = learner_of(classify)
    monkeypatch.setattr(type(learner.task), "training_losses", Mock(side_effect=IndexError("a patient's words")))
    with pytest.raises(RunError, match=r"^the model failed in training \(IndexError\), so the step was not taken") as caught:
        run(learner, classify, records_of(classify, 40), replace(PLAN, sampling_rate=1.0))
    assert "patient" not in str(caught.value)
    assert "\n" not in str(caught.value)
