"""Central evaluation: the model with an adapter, on held-out records that the server may use."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch

from shared.config.evaluation import EvaluationSection
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.metrics.bootstrap import Interval
from shared.records.types import Record
from shared.seeds import derive, stream
from shared.tasks.base import Learner
from shared.tasks.cached_activations import FrozenPrefix, batches
from shared.tasks.examples import Example
from shared.tasks.outcome import Outcome, joined

T = TypeVar("T")


@dataclass(frozen=True)
class Evaluator:
    """Scores the model as it stands on held-out examples.

    ``owners`` names the site of each example, ``records`` are the same examples as text, for probes that change the text,
    and ``groups`` are their declared groups.
    """

    learner: Learner
    examples: Sequence[Example] = field(repr=False)
    owners: Sequence[str] = field(repr=False)
    config: RunConfig
    prefix: FrozenPrefix | None = field(repr=False, default=None)
    records: Sequence[Record] = field(repr=False, default=())
    groups: Sequence[str | None] = field(repr=False, default=())

    @classmethod
    def of(
        cls,
        learner: Learner,
        records: Sequence[Record],
        owners: Sequence[str],
        config: RunConfig,
        groups: Sequence[str | None],
    ) -> "Evaluator":
        """Return an evaluator for a whole run: it caches the activations of the frozen layers where that pays.

        Parameters
        ----------
        learner
            The task with its model.
        records
            The held-out records.
        owners
            The site of each record.
        config
            The run's config.
        groups
            The declared group of each record; None for a record without a group.
        """
        examples = learner.task.encode(records)
        visits = math.ceil(config.training.rounds / config.evaluation.every) + 2  # and before and after training
        prefix = FrozenPrefix.build(learner, examples, visits, learner.tokens(config.training))
        return cls(learner, examples, owners, config, prefix, records, groups)

    def outcome(self) -> Outcome:
        """Return what the model does on every example, in order."""
        parts, tokens = [], self.learner.tokens(self.config.training)
        self.learner.model.eval()
        with torch.no_grad():
            for chosen, batch in batches(self.learner, self.examples, self.prefix, tokens):
                parts.append((chosen, self.learner.task.outcome(self.learner.model, batch)))
        return joined(parts)

    def metrics(self, outcome: Outcome) -> Mapping[str, Interval]:
        """Return the metrics of an outcome with bootstrap intervals.

        Parameters
        ----------
        outcome
            What the model did on the examples, or on some of them.
        """
        return outcome.metrics(*self.resampling)

    @property
    def resampling(self) -> tuple[int, float, int]:
        """Resamples, confidence and seed of the run's bootstrap."""
        section = self.config.evaluation
        return section.bootstrap, section.confidence, derive(self.config.run.seed, "bootstrap")

    def by_site(self, outcome: Outcome) -> Mapping[str, Mapping[str, Interval]]:
        """Return the metrics on the examples of each site.

        Parameters
        ----------
        outcome
            What the model did on all examples.
        """
        owners = np.asarray(self.owners)
        return {site: self.metrics(outcome.where(owners == site)) for site in sorted(set(self.owners))}


def split_validation(config: RunConfig, held_out: Sequence[T]) -> tuple[list[T], list[T]]:
    """Split the held-out records, by a seeded draw, into validation records (to choose rounds or prompts) and test records.

    Parameters
    ----------
    config
        The run's config; ``evaluation.validation`` is the share of the first part.
    held_out
        All held-out records.

    Returns
    -------
    tuple of list
        The validation records and the test records, each in the order given.

    Raises
    ------
    ConfigError
        The share is above 0 but too small for one record.
    """
    order = stream(config.run.seed, "validation").permutation(len(held_out))
    places = set(order[: round(config.evaluation.validation * len(held_out))].tolist())
    validation = [record for place, record in enumerate(held_out) if place in places]
    if config.evaluation.validation and not validation:
        raise ConfigError(
            f"evaluation.validation = {config.evaluation.validation}: of {len(held_out)} held-out records it leaves none to "
            "choose a round on; raise it, or hold out more"
        )
    return validation, [record for place, record in enumerate(held_out) if place not in places]


def choose_examples(total: int, section: EvaluationSection, seed: int) -> list[int]:
    """Return the places of the held-out records that are scored: all, or a seeded choice of ``max_records``.

    Parameters
    ----------
    total
        The number of held-out records.
    section
        The run's ``evaluation`` section.
    seed
        The run's seed.
    """
    if total <= section.max_records:
        return list(range(total))
    return sorted(stream(seed, "evaluation").choice(total, section.max_records, replace=False).tolist())
