"""The rows ("arms") of a comparison: list those that a config asks for, make the run config of each, and run it."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from client.data_stage.site_data import SiteData
from client.preflight import shapes_of
from privacy.accounting import Accountant
from privacy.anonymise.scrubbed import merge_scrubbed
from shared.adapters.peft import write_adapter
from shared.config.aggregation import FEWEST_IN_SUM, GRADIENT_OPTIMISERS, METHODS
from shared.config.data import SiteSection
from shared.config.run import RunConfig
from shared.config.studies import CompareSection
from shared.ops.energy import metered
from shared.records.types import Record
from shared.tasks import load_learner
from shared.tasks.classification import ClassOutcome
from shared.tasks.outcome import Outcome
from simulations.advice import site_rates
from simulations.assembly import evaluator_of
from simulations.planning import site_plans
from simulations.studies.prompting import answers, best_prompt
from simulations.studies.results import Arm, Result
from simulations.training import train_federation

POOLED = "pooled"


@dataclass(frozen=True)
class Material:
    """What all rows share: the sites' scrubbed records, public validation records, test records, and the accountant."""

    sites: Sequence[SiteData] = field(repr=False)
    public: Sequence[tuple[str, Record]] = field(repr=False)
    test: Sequence[tuple[str, Record]] = field(repr=False)
    accountant: Accountant = field(default_factory=Accountant, repr=False)


def arms_of(config: RunConfig, section: CompareSection) -> Iterator[Arm]:
    """Yield the rows of the comparison, the cheap ones first."""
    everyone = tuple(site.id for site in config.data.sites)
    epsilons: list[float | None] = [None, *sorted({config.privacy.epsilon, *section.epsilons}, reverse=True)]
    for model in section.models or (config.model.name,):
        if "base" in section.arms:
            yield Arm("base", model)
        for seed in range(config.run.seed, config.run.seed + section.seeds):
            if "federation" in section.arms:
                yield from (Arm("federation", model, everyone, epsilon, seed) for epsilon in epsilons)
            for epsilon in (None, config.privacy.epsilon):
                if "sites" in section.arms:
                    yield from (Arm("alone", model, (site,), epsilon, seed) for site in everyone)
                if "pooled" in section.arms:
                    yield Arm(POOLED, model, everyone, epsilon, seed)
    if "prompts" in section.arms:
        yield Arm("prompt", section.prompt_model)


def config_of(config: RunConfig, arm: Arm) -> RunConfig:
    """Return the run config of an arm: model, seed, privacy and sites are the arm's, all else is the comparison's."""
    tree = config.model_dump(mode="json")
    chosen = [site for site in tree["data"]["sites"] if site["id"] in arm.sites] or tree["data"]["sites"]
    if arm.method == POOLED:
        declared = sum(site["declared_size"] for site in chosen)
        chosen = [{**chosen[0], "id": POOLED, "declared_size": declared}]
    tree["compare"] = None
    tree["data"]["sites"] = chosen
    tree["run"]["seed"] = arm.seed
    tree["cohort"]["quorum"] = len(chosen)
    if len(chosen) == 1:  # the mean of one delta is that delta; a robust method needs several
        robust = METHODS[config.aggregation.method].options
        kept = {name: value for name, value in tree["aggregation"].items() if name not in robust}
        tree["aggregation"] = kept | {"method": "mean"}
    tree["model"] |= {"name": arm.model} | ({} if arm.model == config.model.name else {"sha256": None})
    tree["privacy"] |= {"enabled": arm.epsilon is not None, "release": "none"}
    tree["privacy"] |= {} if arm.epsilon is None else {"epsilon": arm.epsilon, "budget": None}
    if arm.epsilon is None or len(chosen) < FEWEST_IN_SUM:
        tree["aggregation"]["secure_sums"] = False  # the mean is the same without masks
    if config.privacy.trust == "distributed" and (arm.epsilon is None or len(chosen) < len(config.data.sites)):
        _share_nothing(tree, config)
    return RunConfig.parse(tree, f"compare, {arm.method}")


def _share_nothing(tree: dict[str, Any], config: RunConfig) -> None:
    """Give each site of an arm, whose sites cannot share a noise, noise of its own and the learning rates for that."""
    tree["privacy"]["trust"] = "local"
    tree["aggregation"] = {"weights": "declared", "max_norm": config.aggregation.max_norm}
    given, own = config.training, config.aggregation.optimiser == "adamw"
    rates = (given.learning_rate, given.head_learning_rate) if own else GRADIENT_OPTIMISERS["adamw"]
    dimension = sum(math.prod(shape) for shape in shapes_of(config).values())
    adapter, head = site_rates(rates, site_plans(RunConfig.parse(tree, "compare")).values(), dimension)
    tree["training"] |= {"learning_rate": adapter, "head_learning_rate": head}
    if not own:
        del tree["training"]["schedule"]  # that of the server's SGD; AdamW at a site has another default


def run_arm(config: RunConfig, section: CompareSection, arm: Arm, material: Material, folder: Path) -> Result:
    """Train and measure one row; ``folder`` is for the ledgers of this row alone.

    Raises
    ------
    HushtuneError
        The row cannot be run.
    """
    clock = time.monotonic()
    with metered() as energy:
        if arm.method == "prompt":
            places, outcome, size = *_prompted(config, section, material), 0
        elif arm.method == "base":
            places, outcome, size = np.arange(len(material.test)), _untrained(config, arm, material), 0
        else:
            places = np.arange(len(material.test))
            outcome, size = _trained(config_of(config, arm), arm, material, folder)
    return Result(arm, outcome, places, size, time.monotonic() - clock, energy.kwh or 0.0)


def _untrained(config: RunConfig, arm: Arm, material: Material) -> Outcome:
    """Return the outcome of the base model, which is not trained."""
    own = config_of(config, arm)
    learner = load_learner(own)
    evaluator = evaluator_of(own, learner, material.test)
    outcome = learner.task.untrained(learner, evaluator.examples, learner.tokens(config.training))
    return evaluator.outcome() if outcome is None else outcome


def _prompted(config: RunConfig, section: CompareSection, material: Material) -> tuple[np.ndarray, Outcome]:
    """Measure the best prompt on the first test records only, because a prompted language model is slow."""
    learner, prompt = best_prompt(config, section, [record for _, record in material.public])
    asked = [record for _, record in material.test[: section.prompt_records]]
    labels = config.task.labels
    truth = np.array([labels.index(record.label or "") for record in asked])
    predicted = answers(learner, prompt, asked, labels)
    return np.arange(len(asked)), ClassOutcome(labels=labels, truth=truth, predicted=predicted)


def _trained(config: RunConfig, arm: Arm, material: Material, folder: Path) -> tuple[Outcome, int]:
    """Train, and return the outcome on the test records and the bytes sent in both directions."""
    data = [site for site in material.sites if site.section.id in arm.sites]
    if arm.method == POOLED:
        data = [_pooled(data, config.data.sites[0])]
    done = train_federation(config, data, material.test, folder, material.accountant)
    write_adapter(done.learner.model, done.adapter)
    return done.evaluator.outcome(), done.bytes


def _pooled(data: Sequence[SiteData], section: SiteSection) -> SiteData:
    """Put all sites' records together as those of one site."""
    return SiteData(
        section,
        [record for site in data for record in site.raw],
        merge_scrubbed(site.training for site in data),
        merge_scrubbed(site.held_out for site in data),
        [person for site in data for person in site.persons],
        wordings={text: wordings for site in data for text, wordings in site.wordings.items()},
    )
