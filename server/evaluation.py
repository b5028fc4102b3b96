"""Central evaluation: the model with an adapter, on held-out records that the server may use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from shared.config import RunConfig
from shared.measuring import EvaluationSection
from shared.metrics import Interval
from shared.seeds import derive, stream
from shared.tasks.base import Example, Learner, Outcome
from shared.tasks.prefix import FrozenPrefix, batches


@dataclass(frozen=True)
class Evaluator:
    """Scores the model as it stands; ``owners`` names the site that each held-out example came from."""

    learner: Learner
    examples: Sequence[Example] = field(repr=False)
    owners: Sequence[str] = field(repr=False)
    config: RunConfig
    prefix: FrozenPrefix | None = field(repr=False, default=None)

    @classmethod
    def of(
        cls, learner: Learner, examples: Sequence[Example], owners: Sequence[str], config: RunConfig, times: int
    ) -> "Evaluator":
        """An evaluator that is asked ``times`` times, so that it may pay to keep what never changes of its examples."""
        prefix = FrozenPrefix.build(learner, examples, times, learner.tokens(config.training))
        return cls(learner, examples, owners, config, prefix)

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


def choose_examples(total: int, section: EvaluationSection, seed: int) -> list[int]:
    """Indices of the held-out records that are scored: all, or a seeded choice of ``max_records``."""
    if total <= section.max_records:
        return list(range(total))
    return sorted(stream(seed, "evaluation").choice(total, section.max_records, replace=False).tolist())
