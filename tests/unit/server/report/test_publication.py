"""From a run's facts to its card: what is taken over, and what may not be."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import ConfigOf
from made_round import ADAPTER, made_round

from privacy.dp.plan import PrivacyPlan
from privacy.leakage.recall import Recall
from privacy.mechanism_event import MechanismEvent
from server.report.card import privacy_card
from server.report.card_facts import Charge
from server.report.facts import RunFacts, SiteFacts
from server.report.markdown import model_page, privacy_page
from server.report.publication import card_facts
from server.rounds import Round
from shared.metrics.bootstrap import Interval
from shared.models.folders import ModelFiles
from shared.models.load import LoadedModel
from shared.models.wheels import sha256_file
from shared.ops.canonical_json import canonical_json
from shared.wire.chain_head import ChainHead

METRICS = MechanismEvent(1.0, 20.0, 1, "metrics")
PLAN = PrivacyPlan(0.1, 3.3371, 0.5, 7, 3, 0.0004, 1600, releases=(METRICS,))
SECRET = (13_371, 4_141, 2_718, 9_041)  # counts of a site that nobody declared


def one_round(number: int, ledgers: Mapping[str, ChainHead]) -> Round:
    return made_round(
        number,
        committed=number != 2,
        metrics={"accuracy": Interval(0.7, 0.6, 0.8)},
        accepted=("north",),
        released={"north": {"loss": 717.5, "records": 1590.25}},
        ledgers=ledgers,
        record=ChainHead(number, f"{number}" * 64),
    )


def site(name: str, rounds: tuple[int, ...]) -> SiteFacts:
    records, held_out, quarantined, entities = SECRET
    return SiteFacts(
        site_id=name,
        declared_size=1600,
        records=records,
        held_out=held_out,
        quarantine_reasons={"oversize": quarantined},
        entities={"PERSON": entities},
        recalls={"PERSON": Recall(815, 8_150)},
        plan=PLAN,
        rounds_spent=rounds,
        ledger=ChainHead(99, "9" * 64),
        epsilon_ever=7.6543,
    )


@pytest.fixture
def run(config_of: ConfigOf, tmp_path: Path) -> RunFacts:
    files = ModelFiles("minilm", tmp_path, ("model.safetensors",), "a" * 64, "org/mini@" + "b" * 40)
    nothing: Any = None
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "head.safetensors").write_bytes(b"head")
    (tmp_path / "adapter" / "README.md").write_text("of an earlier run")
    heads = [{"north": ChainHead(3 + 2 * number, f"{number}" * 64)} for number in range(3)]
    return RunFacts(
        run_id="run-9",
        config=config_of({"training.rounds": 3}),
        model=LoadedModel(files, "encoder", nothing, nothing, torch.device("cpu"), torch.float32),
        adapter={"path": "adapter", "digest": ADAPTER.digest(), "trainable_parameters": 8, "bytes": 4},
        baselines=[],
        base={},
        final={"accuracy": Interval(0.7, 0.6, 0.8)},
        assessment={},
        rounds=[one_round(number, heads[number - 1]) for number in (1, 2, 3)],
        by_site={},
        sites=[site("north", (1, 2, 3)), site("south", (2,))],
    )


def test_the_card_charges_every_event_of_every_round_that_was_reserved(run: RunFacts, tmp_path: Path) -> None:
    facts = card_facts(run, tmp_path, "2026-11-24T10:00:00+00:00", simulated=True)
    north, south = facts.sites
    assert north.charges == tuple(Charge("run-9", number, event) for number in (1, 2, 3) for event in PLAN.events)
    assert south.charges == tuple(Charge("run-9", 2, event) for event in PLAN.events)
    assert north.target_delta == PLAN.target_delta
    assert (facts.trust, facts.unit, facts.relation) == ("local", "record", "add or remove one record")
    assert facts.rounds_committed == 2


def test_heads_are_those_that_the_server_saw_last(run: RunFacts, tmp_path: Path) -> None:
    facts = card_facts(run, tmp_path, "", simulated=False)
    assert facts.sites[0].head == ChainHead(7, "2" * 64)
    assert facts.sites[1].head == ChainHead()  # never heard of
    assert facts.record == ChainHead(3, "3" * 64)


def test_every_file_of_the_adapter_but_its_readme_is_stated(run: RunFacts, tmp_path: Path) -> None:
    facts = card_facts(run, tmp_path, "", simulated=True)
    assert facts.files == {"head.safetensors": sha256_file(tmp_path / "adapter" / "head.safetensors")}
    assert facts.model.licence == "Apache-2.0"


def test_the_epsilon_of_the_card_is_the_plans(run: RunFacts, tmp_path: Path) -> None:
    card = privacy_card(card_facts(run, tmp_path, "", simulated=True), "00" * 32)
    assert card["sites"][0]["epsilon"] == pytest.approx(PLAN.epsilon(3), abs=1e-9)
    assert card["sites"][1]["epsilon"] == pytest.approx(PLAN.epsilon(1), abs=1e-9)


@pytest.mark.parametrize("simulated", [False, True])
def test_no_count_of_a_sites_records_or_of_personal_data_gets_into_a_card(
    simulated: bool, run: RunFacts, tmp_path: Path
) -> None:
    card = privacy_card(card_facts(run, tmp_path, "", simulated=simulated), "00" * 32)
    text = canonical_json(card) + privacy_page(card) + model_page(card)
    for undeclared in (*map(str, SECRET), "815", "8150", "8,150", "717.5", "1590.25"):
        assert undeclared not in text
    assert ("7.6543" in text) == simulated  # what a site's ledger holds in all, which a simulator may tell
