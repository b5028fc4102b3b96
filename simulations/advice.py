"""Advise how to spend an epsilon: which trust model, sampling rate, steps and learning rates leave the least noise.

Everything is computed from public numbers, so advice costs no privacy and may be repeated at will. The measure is the
standard deviation of the noise on one number of the mean gradient, averaged over all steps of the run, as a share of the
clipping norm C. It does not say how many steps the task needs.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from client.preflight import shapes_of
from privacy.accounting import Accountant
from privacy.dp.plan import PrivacyPlan
from server.aggregation.gradient_step import scale
from shared.config.aggregation import GRADIENT_OPTIMISERS
from shared.config.run import RunConfig
from shared.errors import ConfigError, PrivacyError
from shared.ops.numbers import epsilon_up
from simulations.planning import site_plans

STEPS = (10, 20, 40, 80, 160)
LOCAL_ROUNDS = 5  # rounds of a run under trust 'local'; divides every entry of STEPS
TRUSTS = ("local", "distributed")
WORD = 4  # bytes of a number on the wire


@dataclass(frozen=True)
class Choice:
    """One way to spend the epsilon: a run, the plans of its sites, and the number of trained parameters."""

    config: RunConfig
    plans: Mapping[str, PrivacyPlan]
    dimension: int

    @property
    def steps(self) -> int:
        """Optimiser steps of the run."""
        return self.config.training.rounds * self.config.training.steps

    @property
    def expected_batch(self) -> Mapping[str, float]:
        """Expected units in a step of each site."""
        return {site.id: self.config.training.sampling_rate * site.declared_size for site in self.config.data.sites}

    @property
    def step_noise(self) -> float:
        """Noise on one number of a step's mean gradient over all sites, as a share of C.

        Under trust ``distributed`` it is that of all shares in the sum, else that of the weighted mean of the sites' own.
        """
        plan, batch = next(iter(self.plans.values())), self.expected_batch
        if plan.shared is not None:
            shares = plan.shares(self.dimension, plan.shared.sites)
            return shares.grid * shares.total_std / (shares.bound * sum(batch.values()))
        weights = self.config.weights
        parts = [weights[site] * own.gradient_noise / batch[site] for site, own in self.plans.items()]
        return math.hypot(*parts) / sum(weights.values())

    @property
    def noise(self) -> float:
        """Noise on one number of the mean gradient, averaged over the run, as a share of C."""
        return self.step_noise / math.sqrt(self.steps)

    @property
    def rates(self) -> tuple[float, float]:
        """Learning rates of adapter and head.

        Under trust ``distributed`` they are those of `config`, in the units of the server's optimiser. Under ``local`` they
        are the defaults of the server's AdamW, translated for the AdamW of a site, which has no such units.
        """
        training = self.config.training
        if self.config.privacy.trust == "distributed":
            return training.learning_rate, training.head_learning_rate
        return site_rates(GRADIENT_OPTIMISERS["adamw"], self.plans.values(), self.dimension)


def site_rates(rates: tuple[float, float], plans: Iterable[PrivacyPlan | None], dimension: int) -> tuple[float, float]:
    """Translate rates of the server's AdamW, which are in units of the noise, to the AdamW of sites that add their own.

    Parameters
    ----------
    rates
        Learning rates of adapter and head at the server.
    plans
        The plan of each site; the one with most noise counts. None where a site adds no noise.
    dimension
        Number of trained parameters.
    """
    noise = max((plan.gradient_noise / plan.expected_batch for plan in plans if plan), default=0.0)
    unit = scale(1.0, dimension, noise)
    return rates[0] * unit, rates[1] * unit


def advice_rows(config: RunConfig, passes: float | None = None) -> list[dict[str, Any]]:
    """Return a row for each choice that has a plan, the one with the least noise first.

    Parameters
    ----------
    config
        The run; its sites, epsilon, colluders and model are kept.
    passes
        Times that a site may compute each of its records in the whole run (q x steps); None: as often as in the config.

    Raises
    ------
    ConfigError
        The run protects no single records, or no choice has a plan.
    """
    if config.privacy.trust_in_force in {None, "central"}:
        raise ConfigError(
            "plan --advise: compares noise on single records; set privacy.enabled = true, and privacy.trust = 'local' or "
            "'distributed'"
        )
    training = config.training
    budget = training.sampling_rate * training.steps * training.rounds if passes is None else passes
    choices = sorted(choices_of(config, budget), key=lambda choice: choice.noise)
    if not choices:
        raise ConfigError(
            f"plan --advise: nothing within {budget:g} passes over the records has a plan at epsilon "
            f"{epsilon_up(config.privacy.epsilon)}; allow more passes, or declare larger sites"
        )
    return [_row(choice, choices[0].noise) for choice in choices]


def choices_of(config: RunConfig, passes: float) -> Iterator[Choice]:
    """Yield every choice of trust model and steps that computes each record at most this often and has a plan."""
    accountant, dimension = Accountant(), sum(math.prod(shape) for shape in shapes_of(config).values())
    for trust in TRUSTS:
        for steps in STEPS:
            rounds = steps if trust == "distributed" else LOCAL_ROUNDS
            try:
                chosen = _chosen(config, trust, min(1.0, passes / steps), rounds, steps // rounds)
                plans = {site: plan for site, plan in site_plans(chosen, accountant).items() if plan}
            except (ConfigError, PrivacyError):
                continue  # too few sites, a batch below one record, or an option that this trust model refuses
            yield Choice(chosen, plans, dimension)


def _chosen(config: RunConfig, trust: str, rate: float, rounds: int, steps: int) -> RunConfig:
    """Return the run under a trust model; another trust model than the config's own gets its own optimiser and rates."""
    tree = config.model_dump(mode="json")
    tree["training"] |= {"sampling_rate": rate, "rounds": rounds, "steps": steps}
    if trust != config.privacy.trust:
        tree["privacy"]["trust"] = trust
        for name in ("learning_rate", "head_learning_rate"):
            del tree["training"][name]
        tree["aggregation"] = {"max_norm": config.aggregation.max_norm}
    return RunConfig.parse(tree, "plan --advise")


def _row(choice: Choice, least: float) -> dict[str, Any]:
    config, training = choice.config, choice.config.training
    adapter, head = choice.rates
    return {
        "trust": config.privacy.trust,
        "sampling_rate": training.sampling_rate,
        "steps": choice.steps,
        "rounds": training.rounds,
        "batch": sum(choice.expected_batch.values()),
        "noise_multiplier": max(plan.noise_multiplier for plan in choice.plans.values()),
        "step_noise": choice.step_noise,
        "noise": choice.noise,
        "against_best": choice.noise / least,
        "passes": training.sampling_rate * choice.steps,
        "exchanges": (2 if config.adds_up_under_masks else 1) * training.rounds,
        "bytes_a_site": 2 * WORD * choice.dimension * training.rounds,
        "optimiser": config.aggregation.optimiser if config.privacy.trust == "distributed" else "adamw of each site",
        "learning_rate": adapter,
        "head_learning_rate": head,
    }
