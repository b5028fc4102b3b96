from pathlib import Path
from typing import Any

import pytest
from fixture_types import Change
from rich.console import Console

from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.records.types import RawRecord, origin
from simulations.audits import adapter
from simulations.audits.adapter import audit_adapter
from simulations.audits.texts import SPACE, canaries, other_secrets
from simulations.data.synthetic import stream
from simulations.display.audits import adapter_tables

SHORT = {"training.rounds": 1, "training.steps": 1, "model.max_length": 48}


@pytest.mark.slow
def test_four_adapters_are_attacked_with_and_without_anonymisation_and_privacy(tiny: RunConfig, change: Change) -> None:
    found = audit_adapter(change(tiny, SHORT), 4, 2, 1)
    cells = {(cell["anonymised"], cell["private"]): cell for cell in found["cells"]}
    assert len(cells) == 4
    for (_, private), cell in cells.items():
        assert (cell["epsilon"] is not None) == private
        assert (cell["limits"] is not None) == private
        assert {(row["copies"], row["attack"]) for row in cell["membership"]} == {
            (many, attack) for many in (1, 4) for attack in ("loss", "loss less base", "rmia")
        }
        assert {row["where"] for row in cell["extraction"]} == {"first site", "other sites"}
    console = Console(record=True, width=200)
    console.print(*adapter_tables(found), sep="\n")
    shown = console.export_text()
    assert "not anonymised, not private" in shown
    assert "proves nothing" in shown
    assert ("TOO WEAK" in shown) == (not found["strong_enough"])


@pytest.mark.slow
def test_a_model_that_writes_is_asked_for_the_planted_numbers(
    tiny: RunConfig, instruct: RunConfig, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(config: RunConfig, *_: object) -> dict[str, list[RawRecord]]:
        asked = {"instruction": "aia bab", "response": "cac"}
        records = [RawRecord(asked, None, place, origin=origin(asked.values())) for place in range(1, 31)]
        return {site.id: records for site in config.data.sites}

    monkeypatch.setattr(adapter, "read_sites", read)
    monkeypatch.setattr(adapter, "NEW_TOKENS", 6)
    task = instruct.task.model_dump(mode="json")
    found = audit_adapter(change(tiny, {**SHORT, "model.name": instruct.model.name, "task": task}), 4, 2, 0)
    rows = [row for cell in found["cells"] for row in cell["extraction"]]
    assert {row["completed"] for row in rows} <= set(range(17))  # an untrained model completes what it completes
    assert {row["copies"] for row in rows} == {0, 1, 4}
    assert {row["attack"] for cell in found["cells"] for row in cell["membership"]} == {"loss", "loss less base"}


def test_an_interrupted_audit_goes_on_with_the_adapter_where_it_stopped(
    tiny: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacked: list[tuple[bool, bool]] = []

    def cell(config: RunConfig, _: object, anonymised: bool, *__: object) -> dict[str, Any]:
        if len(attacked) == 2:
            attacked.append((anonymised, config.privacy.enabled))
            raise KeyboardInterrupt
        attacked.append((anonymised, config.privacy.enabled))
        return {"membership": [{"copies": 4, "auc": 0.9}]}

    monkeypatch.setattr(adapter, "_cell", cell)
    monkeypatch.setattr(adapter, "_material", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        audit_adapter(tiny, 8, 4, 1)
    found = audit_adapter(tiny, 8, 4, 1)
    assert found["strong_enough"]
    assert len(found["cells"]) == 4
    assert attacked == [(True, True), (True, False), (False, True), (False, True), (False, False)]
    audit_adapter(tiny, 8, 4, 1)  # the last one was finished, so this is another audit
    assert len(attacked) == 9


def test_which_text_is_trained_on_is_a_matter_of_the_draw_alone(tiny: RunConfig) -> None:
    """Texts that are planted and texts that are not come from one distribution, or an attack would tell them apart."""
    drawn = canaries(tiny, [], 50)
    assert sorted(canary.copies for canary in drawn) == [0] * 100 + [1] * 50 + [4] * 50
    places = [canary.position for canary in drawn if canary.copies == 0]
    assert min(places) < drawn[20].position
    assert max(places) > drawn[-20].position


def test_a_secret_is_ranked_among_others_of_its_template(tiny: RunConfig) -> None:
    canary = canaries(tiny, [], 1)[0]
    others = other_secrets(canary, SPACE - 1, stream(1))
    texts = {canary.record(secret).fields["text"] for secret in [canary.secret, *others]}
    assert len(texts) == SPACE
    assert canary.answer in canary.record().fields["text"]


def test_records_with_a_lasting_ledger_are_not_trained_on_so_often(tiny: RunConfig, change: Change, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"privacy\.ledger: hushtune audit adapter trains on the same records many times"):
        audit_adapter(change(tiny, {"privacy.ledger": str(tmp_path)}))
