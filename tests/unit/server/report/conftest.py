"""Facts of a made-up run: every number in them is different, so that each can be found again in a card."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from privacy.mechanism_event import MechanismEvent
from server.report.card_facts import BaseModel, CardFacts, Charge, SiteCharges
from server.report.publication import publish
from server.signing import SigningKey
from shared.config.run import RunConfig
from shared.metrics.bootstrap import Interval
from shared.models.wheels import sha256_file
from shared.wire.chain_head import ChainHead

TRAINING = MechanismEvent(0.11, 3.3371, 7)
METRICS = MechanismEvent(1.0, 21.5, 1, "metrics")
CHANGES: Mapping[str, Any] = {
    "run.name": "wards",
    "training.rounds": 5,
    "training.steps": 7,
    "training.sampling_rate": 0.11,
    "privacy.clipping_norm": 0.47,
    "evaluation.confidence": 0.93,
}
VERSIONS = {"python": "3.11.7", "dp-accounting": "0.6.0"}


@dataclass(frozen=True)
class Published:
    """A run's folder with a signed card in it."""

    folder: Path
    facts: CardFacts
    key: SigningKey
    card: Mapping[str, Any]


def charges(rounds: tuple[int, ...]) -> tuple[Charge, ...]:
    return tuple(Charge("run-77", number, event) for number in rounds for event in (TRAINING, METRICS))


def site_charges(name: str, size: int, rounds: tuple[int, ...], entries: int) -> SiteCharges:
    return SiteCharges(name, size, 0.000321, charges(rounds), ChainHead(entries, f"{entries:02d}" * 32), 1.2345 + size / 1e5)


def make_facts(config: RunConfig, files: Mapping[str, str]) -> CardFacts:
    return CardFacts(
        run_id="run-77",
        created="2026-11-24T10:00:00+00:00",
        simulated=True,
        config=config,
        trust="local",
        unit="record",
        relation="add or remove one record",
        model=BaseModel("minilm", f"sentence-transformers/mini@{'a' * 40}", "encoder", "b" * 64, "Apache-2.0"),
        adapter_digest="c" * 64,
        files=files,
        trainable_parameters=112_896,
        rounds_committed=4,
        record=ChainHead(4, "d" * 64),
        sites=[site_charges("north", 1610, (1, 2, 3, 5), 9), site_charges("south", 1720, (1, 2), 5)],
        metrics={"accuracy": Interval(0.74349, 0.71551, 0.77049), "macro_f1": Interval(0.68349, 0.65551, 0.71049)},
        versions=VERSIONS,
    )


def write_run(folder: Path, facts: CardFacts) -> None:
    """Write the other files of a run that a card refers to."""
    (folder / "adapter").mkdir(parents=True, exist_ok=True)
    for name in ("adapter_model.safetensors", "adapter_config.json", "run.json"):
        (folder / "adapter" / name).write_text(f"content of {name}", encoding="utf-8")
    (folder / "checkpoint").mkdir(exist_ok=True)
    (folder / "checkpoint" / "state.json").write_text(json.dumps({"adapter_digest": facts.adapter_digest}), encoding="utf-8")
    last = {"record": asdict(facts.record), "ledgers": {site.site_id: asdict(site.head) for site in facts.sites}}
    (folder / "report.json").write_text(json.dumps({"rounds": [{}, last]}), encoding="utf-8")


@pytest.fixture(scope="session")
def facts(config_of: Callable[..., RunConfig]) -> CardFacts:
    return make_facts(config_of(CHANGES), {})


@pytest.fixture(scope="session")
def without_privacy(facts: CardFacts, config_of: Callable[..., RunConfig]) -> CardFacts:
    sites = [replace(site, target_delta=None, charges=(), epsilon_ever=None) for site in facts.sites]
    return replace(facts, trust=None, sites=sites, config=config_of({**CHANGES, "privacy.enabled": False}))


@pytest.fixture(scope="session")
def publish_in() -> Callable[[Path, CardFacts], Published]:
    """Write a run and publish its card with a key of its own."""

    def published(folder: Path, facts: CardFacts) -> Published:
        write_run(folder, facts)
        files = {path.name: sha256_file(path) for path in (folder / "adapter").iterdir()}
        whole = replace(facts, files=files)
        key = SigningKey.load_or_create(folder / "signing_key.pem")
        return Published(folder, whole, key, publish(whole, folder, key))

    return published


@pytest.fixture(scope="session")
def published(
    facts: CardFacts, publish_in: Callable[[Path, CardFacts], Published], tmp_path_factory: pytest.TempPathFactory
) -> Published:
    """One card for all tests that only read it, or that copy its folder."""
    return publish_in(tmp_path_factory.mktemp("published"), facts)
