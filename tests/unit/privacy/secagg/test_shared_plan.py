"""One plan for all sites of a run: its delta, its attempts, and what each site adds."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from fixture_types import ConfigOf
from torch import nn

from privacy.accounting import Accountant
from privacy.dp.engine import make_private, summing
from privacy.dp.plan import PrivacyPlan
from privacy.dp.run_plans import plan_for_site
from shared.config.privacy import default_delta
from shared.errors import PrivacyError

SITES = [{"id": name, "file": "x.jsonl", "declared_size": size} for name, size in (("a", 100), ("b", 300), ("c", 200))]
SHARED: dict[str, Any] = {
    "data.sites": SITES,
    "privacy": {"trust": "distributed", "epsilon": 1.0, "spare_attempts": 0.1},
    "model.dtype": "float32",
    "training.rounds": 12,
    "training.steps": 1,
    "training.sampling_rate": 0.2,
    "aggregation.weights": "declared",
    "aggregation.optimiser": "adamw",
}


@pytest.fixture(scope="module")
def plan(config_of: ConfigOf) -> PrivacyPlan:
    made = plan_for_site(config_of(SHARED), 100)
    assert made is not None
    return made


def test_all_sites_have_the_plan_of_the_largest_with_spare_attempts(config_of: ConfigOf, plan: PrivacyPlan) -> None:
    other = plan_for_site(config_of(SHARED), 300)
    assert other is not None
    assert (other, other.digest()) == (plan, plan.digest())
    assert plan.target_delta == default_delta(300)
    assert plan.rounds == 12 + 2
    assert plan.epsilon() <= 1.0
    assert replace(plan, rounds=15).epsilon(accountant=Accountant()) > plan.epsilon()


def test_the_shares_leave_the_planned_noise_whatever_the_number_of_sites(plan: PrivacyPlan) -> None:
    shares = plan.shares(500, 3)
    assert shares.with_colluders(1) == pytest.approx(plan.noise_multiplier, rel=1e-9)
    for sites in (2, 4):
        with pytest.raises(PrivacyError, match="the plan is for 3 to 3"):
            plan.shares(500, sites)


def test_the_slack_is_that_of_the_coarsest_dtype_that_a_site_may_have(config_of: ConfigOf, plan: PrivacyPlan) -> None:
    coarse = plan_for_site(config_of({**SHARED, "model.dtype": "auto"}), 100)
    assert coarse is not None
    assert coarse.shared is not None
    assert plan.shared is not None
    assert coarse.shared.slack == pytest.approx(100 * plan.shared.slack)
    with (
        pytest.raises(PrivacyError, match="the shared noise covers less rounding"),
        summing(nn.Linear(2, 1).to(torch.bfloat16), plan),
    ):
        pass


def test_no_site_steps_or_releases_alone_under_a_shared_noise(plan: PrivacyPlan) -> None:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    refused = pytest.raises(PrivacyError, match="a site takes no step of its own")
    with refused, make_private(model, optimizer, plan, 1.0):
        pass
    with pytest.raises(PrivacyError, match="no site releases a sum alone"):
        plan.mechanism(10)


def test_no_sum_is_without_noise_under_another_trust_model() -> None:
    local = PrivacyPlan.of(declared_size=100, sampling_rate=0.2, steps=1, noise_multiplier=1.0)
    with pytest.raises(PrivacyError, match="no noise would cover it"), summing(nn.Linear(2, 1), local):
        pass
    with pytest.raises(PrivacyError, match="has no shared noise"):
        local.shares(10, 3)


@pytest.mark.parametrize("changes", [{"shared": None}, {"steps_per_round": 2}, {"clipping": "adaptive"}], ids=str)
def test_a_plan_that_is_not_one_step_of_one_sum_is_refused(plan: PrivacyPlan, changes: dict[str, Any]) -> None:
    with pytest.raises(PrivacyError):
        replace(plan, **changes)
