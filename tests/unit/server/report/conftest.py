"""The folder of a made-up run, with a signed card in it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from made_facts import CHANGES, make_facts, uncharged

from server.report.card_facts import CardFacts
from server.report.publication import publish
from server.signing import SigningKey
from shared.config.run import RunConfig
from shared.models.wheels import sha256_file


@dataclass(frozen=True)
class Published:
    """A run's folder with a signed card in it."""

    folder: Path
    facts: CardFacts
    key: SigningKey
    card: Mapping[str, Any]


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
    return uncharged(replace(facts, config=config_of({**CHANGES, "privacy.enabled": False})))


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
