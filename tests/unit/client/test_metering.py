"""A site meters its own engine before it reads a record, and on demand."""

import json
from pathlib import Path

import pytest
from fixture_types import Change
from rich.console import Console
from site_toml import site_toml

from bench.meter import FAULTS
from client import metering
from client.display import meter_tables
from client.metering import metered, readings
from privacy.accounting import Accountant
from privacy.dp.plan import PrivacyPlan
from privacy.privacy_loss import SEARCH_GRID
from shared.config.run import RunConfig
from shared.errors import ConfigError

PLAN = PrivacyPlan(0.13, 1.29, 1.0, 20, 2, 1.9e-4, 2422)
SIZES = (48, 6)


def shown(found: dict[str, object]) -> str:
    console = Console(record=True, width=200)
    console.print(*meter_tables(found), sep="\n")
    return console.export_text()


def test_equal_plans_are_metered_once_and_a_site_without_a_plan_not_at_all() -> None:
    seen = metered({"north": PLAN, "south": PLAN, "west": None}, SIZES)
    assert {plan: list(sites) for plan, sites in seen.sites.items()} == {PLAN: ["north", "south"]}
    said = shown(seen.document(Accountant(SEARCH_GRID)))
    assert "Engine for north, south" in said
    assert "The engine does what the plan says" in said


def test_a_faulty_engine_is_named_in_words() -> None:
    with FAULTS["shuffle"]():
        found = metered({"north": PLAN}, SIZES).document(Accountant(SEARCH_GRID))
    assert not found["passed"]
    said = shown(found)
    assert "DOES NOT do" in said
    assert "nothing that is known accounts for what ran" in said


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute epsilon on the coarse grid."""
    monkeypatch.setattr(metering, "Accountant", lambda: Accountant(SEARCH_GRID))


@pytest.mark.usefixtures("quick")
def test_a_site_may_meter_before_it_knows_any_run(tmp_path: Path) -> None:
    policy = 'tasks = ["classification"]\nmodels = []'
    (tmp_path / "SITE.toml").write_text(site_toml(policy))
    found = readings(tmp_path / "SITE.toml")
    assert found["passed"]
    assert found["plans"][0]["sites"] == ["north"]
    assert found["plans"][0]["claimed"] == pytest.approx(8, abs=0.1)  # all that the policy allows for one dataset


@pytest.mark.usefixtures("quick")
def test_what_was_seen_is_kept_beside_the_run_that_it_belongs_to(
    classify: RunConfig, change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = change(classify, {"run.output": str(tmp_path), "data.sites.1.declared_size": 100})
    monkeypatch.setattr(RunConfig, "load", lambda *_: run)
    (tmp_path / "run.toml").write_text("")
    readings(tmp_path / "run.toml")
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    found = readings(tmp_path / "run.toml")
    assert json.loads((tmp_path / "run" / "audit" / "mechanism.json").read_text()) == found
    assert found["config_digest"] == run.digest()


def test_a_run_in_which_no_site_adds_noise_has_nothing_to_meter(
    classify: RunConfig, change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunConfig, "load", lambda *_: change(classify, {"privacy.enabled": False}))
    (tmp_path / "run.toml").write_text("")
    with pytest.raises(ConfigError, match="no site has an engine to meter"):
        readings(tmp_path / "run.toml")
