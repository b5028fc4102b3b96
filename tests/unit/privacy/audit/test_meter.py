"""The meter is the last thing between a faulty engine and a false epsilon, so each fault is put into the real engine."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from bench.meter import CLAIMS, FAULTS, plan_of
from privacy.accounting import Accountant
from privacy.audit import rig, secure_rig
from privacy.audit.meter import Reading, meter
from privacy.dp import mechanism
from privacy.dp.clipping import FlatClipping
from privacy.dp.mechanism import with_lattice_noise
from privacy.dp.noise import rounded_gaussian
from privacy.dp.plan import PrivacyPlan
from privacy.dp.sampling import poisson_batches
from privacy.privacy_loss import SEARCH_GRID
from privacy.secagg import noise_shares
from privacy.secagg.shared_plan import SharedNoise
from shared.errors import PrivacyError

SIZES = (64, 48, 6)  # a head of few numbers among the tensors
PLAN = plan_of(CLAIMS[3], 0.5)
SHARED = replace(
    PLAN, steps_per_round=1, rounds=40, trust="distributed", shared=SharedNoise(4, 3, 1, 3 * PLAN.expected_batch, 0.01)
)


def failed(reading: Reading) -> set[str]:
    return {check.name.partition(":")[0].partition(",")[0] for check in reading.checks if not check.passed}


@cache
def metered_with(fault: str) -> Reading:
    with FAULTS[fault]():
        return meter(PLAN, SIZES)


def test_an_honest_engine_passes_and_its_epsilon_is_around_the_claim() -> None:
    found = meter(PLAN, SIZES)
    assert found.failed is None
    accountant = Accountant(SEARCH_GRID)
    seen, claimed = found.epsilon(accountant), PLAN.epsilon(accountant=accountant)
    assert seen is not None
    assert 0.75 * claimed < seen.low < claimed < seen.high < 1.25 * claimed  # an interval of 1 - 1e-6 is wide


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_engine_is_flagged_and_trains_nothing(fault: str) -> None:
    with pytest.raises(PrivacyError, match="nothing is trained"):
        metered_with(fault).refuse_failure()


def test_no_epsilon_is_given_for_batches_that_are_no_poisson_samples_or_noise_that_comes_again() -> None:
    for fault in ("shuffle", "repeated noise"):
        assert metered_with(fault).epsilon() is None


def test_less_noise_than_planned_gives_a_larger_epsilon_not_none() -> None:
    seen = metered_with("noise x 0.9").epsilon(Accountant(SEARCH_GRID))
    assert seen is not None
    assert seen.low > PLAN.epsilon(accountant=Accountant(SEARCH_GRID))


def test_one_tensor_without_noise_is_seen_though_it_has_few_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_noise_on_the_head(count: int, std: float, device: torch.device) -> torch.Tensor:
        noise = rounded_gaussian(count, std, device)
        noise[-SIZES[-1] :] //= 4
        return noise

    monkeypatch.setattr(mechanism, "rounded_gaussian", no_noise_on_the_head)
    assert "noise of one tensor" in failed(meter(PLAN, SIZES))


def test_noise_that_is_the_same_in_each_tensor_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def the_same_for_each_tensor(self: FlatClipping) -> None:
        first = self.mechanism.noised(torch.zeros(max(self._sizes), dtype=torch.float64))
        for parameter in self.params:
            parameter.grad = (parameter.summed_grad + first[: parameter.numel()].view_as(parameter)).to(parameter.dtype)

    monkeypatch.setattr(FlatClipping, "add_noise", the_same_for_each_tensor)
    assert "noise over tensors" in failed(meter(PLAN, SIZES))


def test_a_tensor_that_is_not_in_the_norm_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    original = FlatClipping.factors
    monkeypatch.setattr(
        FlatClipping, "factors", lambda self, norms, whole: original(self, norms[:-1], torch.linalg.norm(norms[:-1], dim=0))
    )
    assert failed(meter(PLAN, SIZES)) == {"a unit's share of a sum"}


def batches_twice(records: int, rate: float, steps: int, draw: Any) -> Iterator[np.ndarray[Any, Any]]:
    """Each batch is used for two steps; sizes and rates are right."""
    for batch in poisson_batches(records, rate, (steps + 1) // 2, draw):
        yield from (batch, batch)


def test_a_batch_that_is_used_twice_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig, "poisson_batches", batches_twice)
    assert "units that two steps share" in failed(meter(PLAN, SIZES))


def test_a_shared_noise_is_metered_by_its_shares_its_sum_and_its_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert meter(SHARED, SIZES).failed is None
    monkeypatch.setattr(noise_shares, "with_lattice_noise", lambda steps, std: with_lattice_noise(steps, 0.9 * std))
    found = meter(SHARED, SIZES)
    assert {"noise of one share"} <= failed(found) <= {"noise of one share", "noise of the sites that do not collude"}
    monkeypatch.setattr(noise_shares, "with_lattice_noise", with_lattice_noise)
    monkeypatch.setattr(secure_rig, "_masked", lambda plan, number, names, vectors: list(vectors[1:]))
    assert "totals under masks that are not the sum" in failed(meter(SHARED, SIZES))


@pytest.mark.parametrize("changes", [{"clipping": "per-layer"}, {"clipping": "adaptive"}, {"sampling_rate": 1.0}])
def test_every_kind_of_plan_passes(changes: dict[str, Any]) -> None:
    plan: PrivacyPlan = replace(PLAN, **changes)
    assert failed(meter(plan, SIZES)) == set()


@pytest.mark.parametrize("sizes", [(1,), (2, 1), (54,), (5000,)])
def test_few_and_many_trained_numbers_raise_no_false_alarm(sizes: tuple[int, ...]) -> None:
    assert failed(meter(PLAN, sizes)) == set()


@pytest.mark.parametrize("rate", [0.001, 0.9])
def test_rare_and_frequent_sampling_raise_no_false_alarm(rate: float) -> None:
    assert failed(meter(replace(PLAN, sampling_rate=rate, declared_size=4000), SIZES)) == set()
