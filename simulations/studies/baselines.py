"""Compute the baselines of a simulation; some read all sites' records, which a real server could not do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from client.units import TrainingSet
from privacy.dp.plan import PrivacyPlan
from server.evaluation import Evaluator
from server.model_assessment import Answers, Rival, read_answers
from server.public_baselines import fitted
from server.report.facts import Baseline
from shared.adapters.peft import read_adapter
from shared.adapters.state import AdapterState
from shared.config.aggregation import METHODS
from shared.config.run import RunConfig
from shared.tasks.base import Learner
from shared.tasks.cached_activations import FrozenPrefix, embed
from shared.tasks.classification import MeanPoolingClassifier
from shared.tasks.examples import Example
from shared.tasks.outcome import Outcome
from simulations.assembly import Member
from simulations.site_builder import Learners
from simulations.studies.bare_rounds import BareFederation, BareSite

Floats = npt.NDArray[np.float32]
Encoded = tuple[Sequence[Example], FrozenPrefix | None]  # a site's encoded records, with their cached states


@dataclass(frozen=True)
class Inputs:
    """Everything that baselines are computed from.

    Attributes
    ----------
    evaluator
        The evaluator of the test records, with the untrained model.
    training
        The training records of each site, by name.
    plans
        The privacy plan of each site; None where a site adds no noise.
    elsewhere
        Returns the embeddings of each site's training records if other processes compute them; None if this one does.
    """

    evaluator: Evaluator
    training: Mapping[str, Encoded] = field(repr=False)
    plans: Mapping[str, PrivacyPlan | None]
    elsewhere: Callable[[], Mapping[str, Floats]] | None = None

    @cached_property
    def embeddings(self) -> Mapping[str, Floats]:
        """Return the base model's embeddings of each site's training records, (N, hidden)."""
        if self.elsewhere is not None:
            return self.elsewhere()
        tokens = self.evaluator.learner.tokens(self.evaluator.config.training)
        return {site: embed(self.evaluator.learner, *own, tokens) for site, own in self.training.items()}

    @cached_property
    def test(self) -> Floats:
        """Return the base model's embeddings of the test records, (N, hidden)."""
        evaluator = self.evaluator
        return embed(
            evaluator.learner, evaluator.examples, evaluator.prefix, evaluator.learner.tokens(evaluator.config.training)
        )


def baselines_of(
    evaluator: Evaluator, sites: Sequence[Member], elsewhere: Callable[[], Mapping[str, Floats]] | None = None
) -> list[Baseline]:
    """Return the baselines that the task names.

    Parameters
    ----------
    evaluator
        The evaluator of the test records, with the untrained model.
    sites
        The sites of the run.
    elsewhere
        As in `Inputs`.
    """
    plans = {site.site_id: site.plan for site in sites}
    inputs = Inputs(evaluator, {site.site_id: site.encoded for site in sites}, plans, elsewhere)
    rows = (BASELINES[name](inputs) for name in evaluator.learner.task.baselines)
    return [row for row in rows if row is not None]


def trivial(inputs: Inputs) -> Baseline | None:
    """Return the task's trivial baseline, which reads no text."""
    training = [example for examples, _ in inputs.training.values() for example in examples]
    found = inputs.evaluator.learner.task.trivial(training, inputs.evaluator.examples)
    return None if found is None else _row(inputs.evaluator, found.name, found.note, found.outcome)


def private_head(inputs: Inputs) -> Baseline | None:
    """Return a linear head on the base model's embeddings, trained by the run's own privacy plan.

    Each record is one token, and the encoder is a table of embeddings, so sites and server train by the code of the run.
    The result is None if a site has no plan, if the unit is not a record, or if the run itself trains only a head.
    """
    evaluator, config = inputs.evaluator, inputs.evaluator.config
    if not config.adapter.rank or config.privacy.unit != "record" or not all(inputs.plans.values()):
        return None
    first, sites, table = 0, dict[str, BareSite](), [*inputs.embeddings.values(), inputs.test]
    for site, (examples, _) in inputs.training.items():
        sites[site] = BareSite(TrainingSet.of(_as_tokens(examples, first)), None)
        first += len(examples)
    learner, head_only = _table_learner(evaluator, np.concatenate(table)), _without_adapter(config)
    measured = Evaluator(learner, _as_tokens(evaluator.examples, first), evaluator.owners, head_only)
    started = evaluator.learner.task.start(evaluator.learner.model).arrays
    start = AdapterState({name: started[name] for name in read_adapter(learner.model).arrays})
    learners = Learners(head_only, learner)
    outcome = BareFederation(learner, sites, start, measured, learners).outcome(head_only, inputs.plans)
    return _row(
        evaluator, "head alone on frozen embeddings", "the run's own privacy plan, without an adapter", outcome, True
    )


def _without_adapter(config: RunConfig) -> RunConfig:
    """Return the run that trains only a head, without the options that need a model of several layers."""
    tree = {**config.model_dump(mode="json"), "adversary": None}
    tree["adapter"] |= {"rank": 0}
    if METHODS[config.aggregation.method].ranks:
        tree["aggregation"]["method"] = "mean"
        tree["data"]["sites"] = [{**site, "rank": 0} for site in tree["data"]["sites"]]
    tree["training"] |= {"distillation": 0.0, "checkpointing": False, "micro_batch_tokens": 4096}
    return RunConfig.parse(tree, "baseline")


def _as_tokens(examples: Sequence[Example], first: int) -> list[Example]:
    return [Example(np.array([number]), example.target) for number, example in enumerate(examples, start=first)]


def frozen_probe(inputs: Inputs) -> Baseline | None:
    """Return a logistic regression on mean-pooled embeddings of the untouched base model; None if all have one label."""
    evaluator = inputs.evaluator
    targets = [int(example.target) for examples, _ in inputs.training.values() for example in examples]
    if len(set(targets)) < 2:
        return None
    outcome = fitted(np.concatenate(list(inputs.embeddings.values())), targets, inputs.test, evaluator)
    note = "all sites' records pooled, no privacy: a simulation can do this, a federation cannot"
    return _row(evaluator, "logistic regression on frozen embeddings", note, outcome)


def untouched(inputs: Inputs) -> Baseline:
    """Return the untrained base model, whose adapter has no effect yet."""
    evaluator = inputs.evaluator
    note, answers = "untouched, with its own chat template", read_answers(evaluator)
    return _row(evaluator, "base model", note, evaluator.outcome(), True, answers)


BASELINES: Mapping[str, Callable[[Inputs], Baseline | None]] = {
    "trivial": trivial,
    "private_head": private_head,
    "frozen_probe": frozen_probe,
    "untouched": untouched,
}


def _row(
    evaluator: Evaluator, name: str, note: str, outcome: Outcome, private: bool = False, answers: Answers | None = None
) -> Baseline:
    return Baseline(name, note, private, evaluator.metrics(outcome), Rival(name, outcome, answers))


class _Table(nn.Module):
    """An encoder that looks up embeddings, (N, hidden): the state of token n is row n."""

    def __init__(self, rows: Floats) -> None:
        super().__init__()
        self.rows = torch.from_numpy(rows)
        self.config = SimpleNamespace(model_type="table", hidden_size=rows.shape[1])

    @property
    def base_model(self) -> "_Table":
        return self

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=self.rows[input_ids])


def _table_learner(evaluator: Evaluator, rows: Floats) -> Learner:
    """Return a learner of the same task, on the CPU, whose encoder is a table of embeddings."""
    config, base, encoder = evaluator.config, evaluator.learner.base, _Table(rows)
    model = MeanPoolingClassifier(encoder, rows.shape[1], len(config.task.labels), config.run.seed)
    cpu, exact = torch.device("cpu"), torch.float32
    table = replace(base, network=encoder, device=cpu, dtype=exact)  # type: ignore[arg-type]  # stands in for an encoder
    return Learner(table, evaluator.learner.task, model)
