import pytest
from fixture_types import ConfigOf

from client import preflight
from shared.errors import ConfigError, PrivacyError
from simulations import planning
from simulations.display.plans import plan_table
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
    original = planning.plan_for_site
    monkeypatch.setattr(planning, "plan_for_site", lambda *given: sizes.append(given[1]) or original(*given))
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


def test_a_plan_of_shared_noise_counts_attempts_and_says_what_colluders_leave(
    config_of: ConfigOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "shapes_of", lambda config: {"a": (100, 8), "head": (4,)})
    sites = [{"id": name, "file": f"{name}.jsonl", "declared_size": 100 + 50 * n} for n, name in enumerate("abcd")]
    shared = {"data.sites": sites, "privacy.trust": "distributed", "privacy.spare_attempts": 0.4, "cohort.quorum": 3}
    rows = plan_rows(config_of({**FAST, **shared, "training": {"rounds": 3, "sampling_rate": 1.0}}))
    assert [row["declared_size"] for row in rows] == [100, 150, 200, 250]
    assert len({row["epsilon"] for row in rows}) == 1  # one plan for all
    row = rows[0]
    assert (row["rounds"], row["attempts"], row["steps"], len(row["epsilon_by_round"])) == (3, 5, 5, 5)
    assert row["epsilon_none_lost"] < row["epsilon"] <= 0.3 < row["epsilon_one_more_round"]
    left = [(each["colluders"], each["epsilon"]) for each in row["colluders"]]
    assert [colluders for colluders, _ in left] == [0, 1, 2]
    assert left[1][1] == pytest.approx(row["epsilon"], rel=1e-3)  # the planned number, in the smallest sum
    assert left[0][1] < row["epsilon"] < left[2][1]
    assert row["colluders"][2]["noise_multiplier"] == pytest.approx(row["noise_multiplier"] / 2**0.5, rel=1e-3)
    text = "".join(str(part) for part in plan_table(rows, config_of({**FAST, **shared, "training": {"rounds": 3}})))
    assert "The run may make 5 attempts; if none is lost, it makes 3" in text


def test_a_plan_without_shared_noise_has_no_attempts(config_of: ConfigOf) -> None:
    assert {(row["attempts"], row["colluders"]) for row in plan_rows(config_of(FAST))} == {(None, None)}
