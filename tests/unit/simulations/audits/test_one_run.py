import json
from pathlib import Path

import pytest
from fixture_types import Change
from rich.console import Console

from client.statement import statement
from server.warm_start import start_of
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import ConfigError, RunError
from shared.tasks import load_learner
from simulations.audits import one_run
from simulations.audits.one_run import audit_run
from simulations.display.audits import one_run_lines


def test_an_audited_run_is_charged_like_any_other_and_leaves_no_adapter(tiny: RunConfig, change: Change) -> None:
    ledger = Path(tiny.run.output) / "lasting"
    found = audit_run(change(tiny, {"privacy.ledger": str(ledger)}), 60)
    spent = statement(ledger / "north", None)
    assert [row["round"] for row in spent["reservations"]] == [1, 2]
    assert spent["in_all"]["epsilon"] == pytest.approx(found["claimed"], rel=1e-6)
    assert not list(Path(tiny.run.output).rglob("*.safetensors"))
    kept = json.loads((Path(tiny.run.output) / "run" / "audit" / "one_run.json").read_text())
    assert kept == found
    assert found["gaussian"] < found["claimed"]
    assert not found["refuted"]
    console = Console(record=True, width=200)
    console.print(*one_run_lines(found), sep="\n")
    assert "proves nothing" in console.export_text()


def test_an_audited_run_starts_from_the_adapter_that_the_run_itself_starts_from(
    tiny: RunConfig, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, given = change(tiny, {"task.head_start": "labels", "run.name": "named"}), []

    def stopped(_: object, __: object, adapter: AdapterState, *___: object, **____: object) -> None:
        given.append(adapter.digest())
        raise RunError("seen")

    monkeypatch.setattr(one_run, "train", stopped)
    for config in (tiny, named):
        with pytest.raises(RunError, match="seen"):
            audit_run(config, 60)
    assert given == [start_of(config, load_learner(config)).digest() for config in (tiny, named)]
    assert given[0] != given[1]


@pytest.mark.parametrize(
    ("changes", "count", "says"),
    [({"privacy.enabled": False}, 60, "set privacy.enabled = true"), ({}, 10, "--canaries 10: a bound from fewer than 50")],
)
def test_a_run_without_a_claim_and_too_few_canaries_are_refused_at_once(
    tiny: RunConfig, change: Change, changes: dict[str, object], count: int, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        audit_run(change(tiny, changes), count)
