"""Central evaluation: the model with an adapter, on held-out records that the server may use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from shared.config.evaluation import EvaluationSection
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.metrics.bootstrap import Interval
from shared.records.types import Record
from shared.seeds import derive, stream
from shared.tasks.base import Example, Learner, Outcome
from shared.tasks.cached_activations import FrozenPrefix, batches
from shared.tasks.classification import MeanPoolingClassifier

T = TypeVar("T")


@dataclass(frozen=True)
class Evaluator:
    """Scores the model as it stands; ``owners`` names the site that each held-out example came from.

    ``records`` are the same as the examples, for probes that change their text; ``groups`` the declared group of each.
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
        """An evaluator for the base model, each round and the end, so that it may pay to keep what never changes."""
        examples, times = learner.task.encode(records), config.training.rounds + 2
        prefix = FrozenPrefix.build(learner, examples, times, learner.tokens(config.training))
        return cls(learner, examples, owners, config, prefix, records, groups)

    def outcome(self) -> Outcome:
        """What the model does on every example, in order."""
        parts, tokens = [], self.learner.tokens(self.config.training)
        self.learner.model.eval()
        with torch.no_grad():
            for chosen, batch in batches(self.learner, self.examples, self.prefix, tokens):
                parts.append((chosen, self.learner.task.outcome(self.learner.model, batch)))
        return Outcome.joined(parts)

    def metrics(self, outcome: Outcome) -> Mapping[str, Interval]:
        """Metrics with intervals over all examples."""
        section, seed = self.config.evaluation, derive(self.config.run.seed, "bootstrap")
        return self.learner.task.metrics(outcome, section.bootstrap, section.confidence, seed)

    def by_site(self, outcome: Outcome) -> Mapping[str, Mapping[str, Interval]]:
        """The same for the examples of each site."""
        owners = np.asarray(self.owners)
        return {site: self.metrics(outcome.where(owners == site)) for site in sorted(set(self.owners))}


def embed(
    learner: Learner, examples: Sequence[Example], prefix: FrozenPrefix | None, tokens: int
) -> npt.NDArray[np.float32]:
    """Mean-pooled states of the encoder as it stands, (N, hidden)."""
    model = learner.model
    assert isinstance(model, MeanPoolingClassifier)  # noqa: S101  classification's own model
    out = np.zeros((len(examples), model.head.in_features), dtype=np.float32)
    model.eval()
    with torch.no_grad():
        for chosen, batch in batches(learner, examples, prefix, tokens):
            out[chosen] = model.pooled(batch.ids, batch.mask).cpu().numpy()
    return out


def split_validation(config: RunConfig, held_out: Sequence[T]) -> tuple[list[T], list[T]]:
    """The held-out records that choices are made on, and those of the test: a seeded share, each in the order given.

    Raises:
        ConfigError: choices are to be made, and the share comes to no record.
    """
    order = stream(config.run.seed, "validation").permutation(len(held_out))
    public = set(order[: round(config.evaluation.validation * len(held_out))].tolist())
    chosen = [record for place, record in enumerate(held_out) if place in public]
    if config.evaluation.validation and not chosen:
        raise ConfigError(
            f"evaluation.validation = {config.evaluation.validation}: of {len(held_out)} held-out records it leaves none to "
            "choose a round on; raise it, or hold out more"
        )
    return chosen, [record for place, record in enumerate(held_out) if place not in public]


def choose_examples(total: int, section: EvaluationSection, seed: int) -> list[int]:
    """Indices of the held-out records that are scored: all, or a seeded choice of ``max_records``."""
    if total <= section.max_records:
        return list(range(total))
    return sorted(stream(seed, "evaluation").choice(total, section.max_records, replace=False).tolist())
