import numpy as np
import pytest
from fixture_types import ConfigOf
from silence import silence

from privacy.accounting import Accountant
from privacy.dp.central import NoisedSum
from privacy.dp.plan import PrivacyPlan
from privacy.dp.run_plans import plan_for_server, plan_for_site
from shared.adapters.state import AdapterState
from shared.errors import PrivacyError

SPEC = (("b", (20, 30)), ("a", (400,)))
PLAN = PrivacyPlan(0.5, 2.0, 1.5, 1, 3, 1e-4, 200, unit="site", trust="central")
CENTRAL = {"privacy.trust": "central", "privacy.unit": "site", "privacy.epsilon": 4.0, "training.rounds": 2}


def federation(sites: int) -> dict[str, object]:
    return {"data.sites": [{"id": f"s{i}", "file": "x.csv", "declared_size": 50} for i in range(sites)], **CENTRAL}


def state(value: float) -> AdapterState:
    return AdapterState({name: np.full(shape, value, dtype=np.float32) for name, shape in SPEC})


def flat(found: AdapterState) -> np.ndarray:  # type: ignore[type-arg]
    return np.concatenate([array.ravel() for array in found.arrays.values()])


def test_noise_alone_has_the_size_that_the_plan_says() -> None:
    drawn = np.concatenate([flat(NoisedSum(SPEC, PLAN).result()) for _ in range(20)])
    assert np.std(drawn) == pytest.approx(2.0 * 1.5 / (0.5 * 200), rel=0.03)
    assert abs(drawn.mean()) < 4 * np.std(drawn) / np.sqrt(len(drawn))


def test_no_site_moves_the_sum_by_more_than_the_clipping_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    silence(monkeypatch)
    for value in (1e-4, 1.0, 1e6):
        total = NoisedSum(SPEC, PLAN)
        total.fold(state(value))
        share = flat(total.result()) * PLAN.expected_batch
        assert np.linalg.norm(share) <= 1.5 * (1 + 1e-6)
        if state(value).norm <= 1.5:
            assert share == pytest.approx(flat(state(value)), rel=1e-5)


def test_the_mean_is_over_a_public_number_of_sites(monkeypatch: pytest.MonkeyPatch) -> None:
    silence(monkeypatch)
    total = NoisedSum(SPEC, PLAN)
    for _ in range(10):
        total.fold(state(1e-3))
    assert flat(total.result()) == pytest.approx(np.full(1000, 10 * 1e-3 / 100), rel=1e-5)


def test_the_servers_plan_meets_its_epsilon_over_its_rounds(config_of: ConfigOf) -> None:
    plan = plan_for_server(config_of(federation(300)))
    assert plan is not None
    assert (plan.unit, plan.trust, plan.steps_per_round, plan.declared_size) == ("site", "central", 1, 300)
    assert 0.98 * 4.0 <= Accountant().epsilon(plan.events * 2, plan.target_delta) <= 4.0
    assert plan_for_site(config_of(federation(300)), 50) is None


def test_ten_sites_are_too_few_and_the_refusal_says_how_many_are_not(config_of: ConfigOf) -> None:
    with pytest.raises(PrivacyError, match=r"with 10 sites the noise .* would be \d+% .* about \d+ sites"):
        plan_for_server(config_of(federation(10)))


def test_only_a_server_that_sites_trust_has_a_plan(config_of: ConfigOf) -> None:
    assert plan_for_server(config_of()) is None
    assert plan_for_server(config_of({**federation(300), "privacy.enabled": False})) is None
