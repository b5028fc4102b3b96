import pytest
from fixture_types import ConfigOf

from shared.errors import ConfigError, PrivacyError
from simulations import planning
from simulations.planning import plan_rows, site_plans

FAST = {"training.rounds": 2, "training.steps": 2, "training.sampling_rate": 1.0, "privacy.epsilon": 0.3}


def test_a_plan_tells_what_the_plans_of_the_sites_say(config_of: ConfigOf) -> None:
    config = config_of(FAST)
    rows, plans = plan_rows(config), site_plans(config)
    assert [row["site_id"] for row in rows] == ["north", "south"]
    for row in rows:
        plan = plans[row["site_id"]]
        assert plan is not None
        assert row["epsilon"] == pytest.approx(plan.epsilon(), rel=1e-9)
        assert row["epsilon_by_round"] == pytest.approx(list(plan.epsilon_by_round()), rel=1e-9)
        assert row["epsilon"] <= 0.3 < row["epsilon_one_more_round"]
        assert (row["steps"], row["rounds"]) == (4, 2)
        assert (row["noise_multiplier"], row["target_delta"]) == (plan.noise_multiplier, plan.target_delta)
    assert rows[0]["noise_multiplier"] < rows[1]["noise_multiplier"]  # a larger site has a smaller delta


def test_sites_of_equal_size_share_one_calibration(config_of: ConfigOf, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    original = planning.PrivacyPlan.for_site
    monkeypatch.setattr(planning.PrivacyPlan, "for_site", lambda *given: sizes.append(given[1]) or original(*given))
    plans = site_plans(config_of({**FAST, "data.sites.1.declared_size": 100}))
    assert sizes == [100]
    assert plans["north"] == plans["south"]


def test_without_privacy_there_is_nothing_to_plan(config_of: ConfigOf) -> None:
    config = config_of({"privacy.enabled": False})
    assert site_plans(config) == {"north": None, "south": None}
    with pytest.raises(ConfigError, match=r"privacy\.enabled = false"):
        plan_rows(config)


def test_a_site_that_is_too_small_is_refused_before_anything_runs(config_of: ConfigOf) -> None:
    with pytest.raises(PrivacyError, match=r"training\.sampling_rate"):
        plan_rows(
            config_of({**FAST, "data.sites.0.declared_size": 5, "training.sampling_rate": 0.1, "privacy.target_delta": 1e-4})
        )
