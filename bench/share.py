"""Measure the contribution ("share") of one privacy unit to a step's clipped sum, under every option of training.

Run: python -m bench.share [--pairs] [--task classification]. A share is the L2 norm of the contribution (float64), in units
of the clipping norm C that the step's noise is scaled to; it must not exceed 1. The steps are those of
``client.trainer.train``; their sums are read before noise is added, for four given batches: all units; all but one; all, but
only the losses of that one count; and only that one.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from bench.options import ENCODED, INSTRUCT, OPTIONS, TASKS, changes_of, missing, options_of, pairs, refused
from bench.scripted_round import OneOccasion, Script, sums_of
from bench.table import parser_of
from client.training_set import training_set
from client.units import TrainingSet
from shared.config.run import RunConfig
from shared.records.types import Record, Span
from shared.tasks import load_task
from shared.tasks.base import Learner
from shared.text.perturbation import input_text

SMALL, LARGE = 1e-3, 1e6  # clipping norms: all gradients exceed the first and none the second
STILL = {
    "training.learning_rate": 1e-30,
    "training.head_learning_rate": 1e-30,
}  # so that all steps start at the same weights
PERSONS = ("a", "a", "b", "c")  # the person of each record
LABELS = ("yes", "no", "no", "yes")  # the label of each record
ALL_LABELS = ["no", "yes", "perhaps", "later"]
GROUPS = ("woman", "man", None, "man")
MODELS: Mapping[str, Mapping[str, Any]] = {
    task: {
        "model": {"name": name, "device": "cpu", "dtype": "float32", "max_length": 96},
        "adapter": {"rank": rank},
        "task": {"name": task, "labels": ALL_LABELS if task in ENCODED else []},
        "data": {"sites": [{"id": "north", "file": "north.jsonl", "declared_size": 100}]},
        "privacy": {"epsilon": 8.0},
    }
    for task in TASKS
    for name, rank in ([("smollm2-135m", 4)] if task in INSTRUCT else [("minilm", 8)])
}
TEXTS = (  # lengths differ, are not sorted, and together exceed a batch of 64 tokens
    "She wants to move her appointment on Friday to another day.",
    "He asked Emily when the results of the blood test from last week will be there, and whom she should call about them.",
    "His bill came twice.",
    "Jack says that his father has had a headache since he takes the new tablets, and would like to know if he may stop.",
)


@dataclass(frozen=True)
class Share:
    """The contribution of the first unit to a step's sum, as L2 norms in units of C.

    ``alone``: in a batch of only this unit. ``within``: in a batch with others, the largest over the steps on it. ``moved``:
    the change of the whole sum when the unit is left out. ``others``: the change of the other units' part, which should be
    only rounding.
    """

    alone: float
    within: float
    moved: float
    others: float

    @property
    def worst(self) -> float:
        """The largest norm of the unit's own contribution."""
        return max(self.alone, self.within)


def share_of(config: RunConfig, learner: Learner, records: Sequence[Record], clipping_norm: float = SMALL) -> Share:
    """Measure the first unit's share in steps of ``train`` under a config.

    Parameters
    ----------
    config, learner
        The run, and its task with the model.
    records
        The records; the first unit's share is measured.
    clipping_norm
        The clipping norm C.
    """
    data = _data(config, learner, records)
    others = list(range(1, len(data.units)))
    everyone = [0, *others]
    steps = [([0], False), (everyone, False), (others, False), (everyone, True)]
    if config.privacy.clipping == "adaptive":
        steps.append((everyone, True))  # C is smaller in this step, since the other units' zero norms are below it
    alone, whole, without, *within = sums_of(config, learner, data, Script(steps), clipping_norm)
    change = whole - without
    largest = max(float(sums.norm()) for sums in within)
    return Share(float(alone.norm()), largest, float(change.norm()), float((change - within[0]).norm()))


def with_options(config: RunConfig, chosen: Sequence[str]) -> RunConfig:
    """Return the config with these options, and with learning rates that do not change the weights.

    Raises
    ------
    ConfigError
        The options are not compatible.
    """
    tree: dict[str, Any] = config.model_dump(mode="json")
    for dotted, value in {**STILL, **(changes_of(chosen) or {})}.items():
        section, _, name = dotted.rpartition(".")
        node = tree
        for key in filter(None, section.split(".")):
            node = node[key]
        node[name] = copy.deepcopy(value)
    return RunConfig.parse(tree, " and ".join(chosen))


def _data(config: RunConfig, learner: Learner, records: Sequence[Record]) -> TrainingSet:
    """Build the training set of a site with these records, with two invented paraphrases of each."""
    wordings = {input_text(record): (f"{input_text(record)} aia", None) for record in records}
    data = training_set("north", config, records, learner, PERSONS, wordings)
    return OneOccasion(data.examples, data.units, data.viewer)


def records_of(task: str, texts: Sequence[str]) -> list[Record]:
    """Build records from these texts, with the labels and groups listed above; where tags are learnt, with two tags."""
    made = []
    for number, text in enumerate(texts):
        fields = {"text": text} if task in ENCODED else {"instruction": text, "response": text}
        label = LABELS[number] if task == "classification" else None
        tags = (Span(LABELS[number], 0, 3), Span("later", 4, 9)) if task == "token_classification" else ()
        made.append(Record(fields, label, number + 1, GROUPS[number], tags))
    return made


def learner_of(config: RunConfig, chosen: Sequence[str], moved: float = 0.3) -> Learner:
    """Build the learner of a config and apply the ``modify`` functions of the options.

    Normal random numbers of standard deviation ``moved`` are added to the trained tensors, so that they are not at their
    initial values.
    """
    base, task = load_task(config)
    learner = Learner(base, task, task.build(base, config.run.seed))
    for name in chosen:
        modify = OPTIONS[name].modify
        if modify is not None:
            learner = modify(learner)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in learner.model.parameters():
            if parameter.requires_grad:
                parameter.add_(moved * torch.randn(parameter.shape, generator=generator).to(parameter.dtype))
    return learner


@dataclass(frozen=True)
class Learners:
    """A cache of learners, shared by all configs that build the same one."""

    kept: dict[str, Learner] = field(default_factory=dict)

    def of(self, config: RunConfig, chosen: Sequence[str]) -> Learner:
        """Return the learner of a config and of the options that modify it; build it if it is not cached."""
        modified = [name for name in chosen if OPTIONS[name].modify]
        parts = (config.model, config.adapter, config.adversary, config.task, config.training.checkpointing, modified)
        key = repr(parts)
        if key not in self.kept:
            self.kept[key] = learner_of(config, modified)
        return self.kept[key]


def main() -> None:
    """Measure the shares and print them."""
    parser = parser_of(__doc__)
    parser.add_argument("--pairs", action="store_true", help="also measure each pair of options")
    parser.add_argument("--task", choices=TASKS, action="append", help="measure only this task")
    arguments = parser.parse_args()
    table = Table(
        "task", "options", "alone", "within a batch", "sum moved by", "others moved by", title="Shares, in units of C"
    )
    for task in arguments.task or TASKS:
        for chosen, share in measured(task, pairs(task) if arguments.pairs else []):
            row = (share.alone, share.within, share.moved)
            table.add_row(task, " and ".join(chosen) or "none", *(f"{value:.9f}" for value in row), f"{share.others:.1e}")
    Console(width=130).print(table)


def measured(task: str, further: Sequence[tuple[str, ...]]) -> Iterator[tuple[tuple[str, ...], Share]]:
    """Yield the shares on a model of the catalogue: without options, with each option, and with further sets of options."""
    config = RunConfig.parse(MODELS[task], task)
    learners, records = Learners(), records_of(task, TEXTS)
    for chosen in [(), *((name,) for name in options_of(task)), *further]:
        if not refused(chosen) and missing(chosen) is None:
            asked_for = with_options(config, chosen)
            yield chosen, share_of(asked_for, learners.of(asked_for, chosen), records)


if __name__ == "__main__":
    main()
