"""Facts of a made-up run: every number in them is different, so that each can be found again in a card."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from privacy.mechanism_event import MechanismEvent
from server.report.card_facts import BaseModel, CardFacts, Charge, SiteCharges
from shared.config.run import RunConfig
from shared.metrics.bootstrap import Interval
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


def charges(rounds: tuple[int, ...]) -> tuple[Charge, ...]:
    """Return the charges of a site that took part in these rounds."""
    return tuple(Charge("run-77", number, event) for number in rounds for event in (TRAINING, METRICS))


def site_charges(name: str, size: int, rounds: tuple[int, ...], entries: int) -> SiteCharges:
    """Return what a card says of one site."""
    return SiteCharges(name, size, 0.000321, charges(rounds), ChainHead(entries, f"{entries:02d}" * 32), 1.2345 + size / 1e5)


def make_facts(config: RunConfig, files: Mapping[str, str]) -> CardFacts:
    """Return the facts of a private run of two sites."""
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


def uncharged(facts: CardFacts) -> CardFacts:
    """Return the facts of a run without privacy."""
    sites = [replace(site, target_delta=None, charges=(), epsilon_ever=None) for site in facts.sites]
    return replace(facts, trust=None, sites=sites)
