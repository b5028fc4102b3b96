"""The advice is made of the plans that training would use, keeps to the budget of computing, and ranks by noise."""

import math

import pytest
from fixture_types import ConfigOf

from privacy import accounting
from shared.config.run import RunConfig
from shared.errors import ConfigError
from simulations import advice
from simulations.advice import advice_rows
from simulations.planning import site_plans

SITES = [{"id": name, "file": f"{name}.jsonl", "declared_size": 200 + 100 * n} for n, name in enumerate("abcd")]


def calibrated(epsilon: float, delta: float, rate: float, steps: int, *_: object) -> float:
    """Stand in for the search of the noise, which is slow: the noise of a small epsilon (Abadi et al. 2016)."""
    return 4 * rate * math.sqrt(steps) / epsilon


@pytest.fixture
def config(config_of: ConfigOf, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    monkeypatch.setattr(advice, "STEPS", (5, 10))
    monkeypatch.setattr(accounting, "calibrate", calibrated)
    monkeypatch.setattr(advice, "shapes_of", lambda config: {"a": (100, 8), "head": (4,)})
    changes = {"training.rounds": 1, "training.steps": 5, "training.sampling_rate": 1.0, "data.sites": SITES}
    return config_of({**changes, "aggregation.weights": "declared", "model.dtype": "float32"})


def test_each_row_is_what_the_plan_of_its_choice_says(config: RunConfig, config_of: ConfigOf) -> None:
    rows = advice_rows(config)
    assert len(rows) == 4
    assert [row["noise"] for row in rows] == sorted(row["noise"] for row in rows)
    assert rows[0]["against_best"] == 1
    for row in rows:
        assert row["passes"] == pytest.approx(5)  # q x steps of the config
        assert row["steps"] * row["sampling_rate"] == pytest.approx(5)
        assert row["batch"] == pytest.approx(row["sampling_rate"] * 1400)
    shared = next(row for row in rows if (row["trust"], row["steps"]) == ("distributed", 5))
    changes = {
        "privacy.trust": "distributed",
        "training": {"rounds": 5, "steps": 1, "sampling_rate": 1.0},
        "model.dtype": "float32",
        "data.sites": SITES,
    }
    plan = next(iter(site_plans(config_of(changes)).values()))
    assert plan is not None
    assert shared["noise_multiplier"] == plan.noise_multiplier
    wanted = plan.noise_multiplier * math.sqrt(4 / 3) / 1400  # four shares, of which one may be known
    assert shared["step_noise"] == pytest.approx(wanted, rel=0.01)
    assert (shared["exchanges"], shared["bytes_a_site"]) == (10, 2 * 4 * 804 * 5)


def test_sharing_the_noise_leaves_less_of_it_and_a_site_with_more_noise_gets_a_higher_rate(config: RunConfig) -> None:
    rows = {(row["trust"], row["steps"]): row for row in advice_rows(config)}
    for steps in (5, 10):
        assert rows["distributed", steps]["noise"] < 0.65 * rows["local", steps]["noise"]
    assert rows["local", 10]["learning_rate"] > rows["local", 5]["learning_rate"]  # smaller batches, more noise
    assert rows["distributed", 10]["learning_rate"] == rows["distributed", 5]["learning_rate"]  # in units of the noise


def test_no_choice_computes_more_than_full_batches(config: RunConfig) -> None:
    assert {row["sampling_rate"] for row in advice_rows(config, 1000.0)} == {1.0}


def test_two_sites_of_which_one_may_collude_cannot_share_a_noise(config: RunConfig) -> None:
    two = RunConfig.parse({**config.model_dump(mode="json"), "data": {"sites": SITES[:2]}, "cohort": {"quorum": 2}}, "test")
    assert {row["trust"] for row in advice_rows(two, 1000.0)} == {"local"}


@pytest.mark.parametrize("changes", [{"privacy.enabled": False}, {"privacy.trust": "central", "privacy.unit": "site"}])
def test_a_run_that_protects_no_records_is_refused(config_of: ConfigOf, changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="plan --advise"):
        advice_rows(config_of(changes))


def test_a_budget_that_fits_nothing_is_refused_in_one_sentence(config: RunConfig) -> None:
    with pytest.raises(ConfigError, match="allow more passes"):
        advice_rows(config, 0.001)
