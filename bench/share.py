"""What one privacy unit adds to a step's clipped sum, through ``client.trainer.train`` itself, under every option of it.

Run: python -m bench.share [--pairs] [--task classification]. Shares are norms in float64, in multiples of the C that the
step's noise is made for, and may not exceed 1. Each step's sum is taken before noise is added, on batches that are given:
all units; all but one; all, where that one's losses alone count; and that one by itself.
"""

import argparse
import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bench.options import BOTH, OPTIONS, changes_of, missing, options_of, pairs, refused
from client import trainer
from client.data_stage.balance import label_weights
from client.site import training_set
from client.units import Rows, TrainingSet, row_weights
from privacy.dp.clipping import FlatClipping
from privacy.dp.plan import PrivacyPlan
from shared.adapters.peft import read_adapter
from shared.config.run import RunConfig
from shared.records.types import Record
from shared.tasks import load_task
from shared.tasks.base import Learner
from shared.tasks.cached_activations import FrozenPrefix
from shared.tasks.micro_batches import Unit
from shared.text.perturbation import asked

SMALL, LARGE = 1e-3, 1e6  # clipping norms: one that gradients exceed, and one that they don't
STILL = {"training.learning_rate": 1e-30, "training.head_learning_rate": 1e-30}  # so that all steps start at one point
PERSONS = ("a", "a", "b", "c")  # whose each record is
LABELS = ("yes", "no", "no", "yes")  # theirs, of four
ALL_LABELS = ["no", "yes", "perhaps", "later"]
GROUPS = ("woman", "man", None, "man")
MODELS: Mapping[str, Mapping[str, Any]] = {
    task: {
        "model": {"name": name, "device": "cpu", "dtype": "float32", "max_length": 96},
        "adapter": {"rank": rank},
        "task": {"name": task, "labels": ALL_LABELS if task == "classification" else []},
        "data": {"sites": [{"id": "north", "file": "north.jsonl", "declared_size": 100}]},
        "privacy": {"epsilon": 8.0},
    }
    for task, name, rank in ((BOTH[0], "minilm", 8), (BOTH[1], "smollm2-135m", 4))
}
TEXTS = (  # of unlike lengths, which one batch of 64 tokens can't hold, and not in order of length
    "She wants to move her appointment on Friday to another day.",
    "He asked Emily when the results of the blood test from last week will be there, and whom she should call about them.",
    "His bill came twice.",
    "Jack says that his father has had a headache since he takes the new tablets, and would like to know if he may stop.",
)
NOISE = 1e-2  # so little that what follows from a step, such as an adaptive C, follows from the records


@dataclass(frozen=True)
class Share:
    """What the first unit adds to a step's sum, as L2 norms in multiples of C.

    ``alone``: in a batch of its own. ``within``: in a batch with others, the largest of the steps on it. ``moved``: the
    change of the whole sum when the unit is left out. ``others``: that of the part of the others, which should be rounding.
    """

    alone: float
    within: float
    moved: float
    others: float

    @property
    def worst(self) -> float:
        """The largest norm of the unit's own part."""
        return max(self.alone, self.within)


@dataclass
class Script:
    """The batches of a round's steps, and whether the first unit's losses alone count in them; ``sums`` are the results."""

    steps: Sequence[tuple[list[int], bool]]
    now: int = -1

    def batches(self, *given: object) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
        """In place of sampling."""
        for number, (units, _) in enumerate(self.steps):
            self.now = number
            yield np.array(units, dtype=np.int64)

    def weights(self, units: Sequence[Unit], *given: Any) -> torch.Tensor:
        """The rows' weights as training has them, times 0 for other units than the first where it alone counts."""
        found = row_weights(units, *given)
        if not self.steps[self.now][1]:
            return found
        return found * torch.tensor([float(unit[0] == 0) for unit in units for _ in unit], device=found.device)


class OneOccasion(TrainingSet):
    """Units whose views are the same in every step."""

    def rows(self, chosen: Sequence[int], occasion: int) -> Rows:
        """The rows of a step, always with the views of the first."""
        return super().rows(chosen, 0)


def columns_dropped(x: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    """Dropout whose mask is the same for every position, so that a unit more in the batch moves no other's."""
    if not training or not p:
        return x
    kept = torch.arange(x.shape[-1], device=x.device) % 10 >= 10 * p
    return x * kept.to(x.dtype) / (1 - p)


@contextmanager
def watched() -> Iterator[list[torch.Tensor]]:
    """Each step's clipped sum before its noise, (numbers,) float64, in multiples of the C that the noise is made for."""
    sums: list[torch.Tensor] = []
    original = FlatClipping.add_noise

    def add_noise(self: FlatClipping) -> None:
        whole = torch.cat([parameter.summed_grad.double().flatten() for parameter in self.params])
        sums.append(whole / self.max_grad_norm)
        original(self)

    with patch.object(FlatClipping, "add_noise", add_noise):
        yield sums


def share_of(config: RunConfig, learner: Learner, records: Sequence[Record], clipping_norm: float = SMALL) -> Share:
    """The first unit's share in steps of ``train`` under a config, with the sums that are about to be noised."""
    data = _data(config, learner, records)
    others = list(range(1, len(data.units)))
    everyone = [0, *others]
    steps = [([0], False), (everyone, False), (others, False), (everyone, True)]
    if config.privacy.clipping == "adaptive":
        steps.append((everyone, True))  # C has gone down, since the others' zeros are below it
    alone, whole, without, *within = sums_of(config, learner, data, Script(steps), clipping_norm)
    change = whole - without
    largest = max(float(sums.norm()) for sums in within)
    return Share(float(alone.norm()), largest, float(change.norm()), float((change - within[0]).norm()))


def with_options(config: RunConfig, chosen: Sequence[str]) -> RunConfig:
    """The config with options on, and a learning rate that moves nothing.

    Raises:
        ConfigError: they may not be together.
    """
    tree: dict[str, Any] = config.model_dump(mode="json")
    for dotted, value in {**STILL, **(changes_of(chosen) or {})}.items():
        section, _, name = dotted.rpartition(".")
        node = tree
        for key in filter(None, section.split(".")):
            node = node[key]
        node[name] = copy.deepcopy(value)
    return RunConfig.parse(tree, " and ".join(chosen))


def sums_of(
    config: RunConfig, learner: Learner, data: TrainingSet, script: Script, clipping_norm: float
) -> list[torch.Tensor]:
    """The sums of a round's steps."""
    units, clipping = len(data.units), config.privacy.clipping
    plan = PrivacyPlan(1.0, NOISE, clipping_norm, len(script.steps), 1, 1e-4, units, clipping=clipping)
    visits = 0 if data.viewer else len(script.steps)
    prefix = FrozenPrefix.build(learner, data.examples, visits, learner.tokens(config.training))
    with (
        watched() as sums,
        patch.object(trainer, "_batches", script.batches),
        patch.object(trainer, "row_weights", script.weights),
        patch.object(torch.nn.functional, "dropout", columns_dropped),
    ):
        trainer.train(
            learner,
            data,
            read_adapter(learner.model),
            config,
            plan,
            round_number=1,
            divisor=plan.expected_batch,
            site_id="north",
            moments=None,
            label_weights=label_weights(data, config, private=True),
            prefix=prefix,
        )
    return sums


def _data(config: RunConfig, learner: Learner, records: Sequence[Record]) -> TrainingSet:
    """The records as a site would train on them, with two made-up wordings of each."""
    wordings = {asked(record): (f"{asked(record)} aia", None) for record in records}
    data = training_set("north", config, records, learner, PERSONS, wordings)
    return OneOccasion(data.examples, data.units, data.viewer)


def records_of(task: str, texts: Sequence[str]) -> list[Record]:
    """Records of these texts, by turns of two labels and of two groups or none."""
    made = []
    for number, text in enumerate(texts):
        fields = {"text": text} if task == "classification" else {"instruction": text, "response": text}
        label = LABELS[number] if task == "classification" else None
        made.append(Record(fields, label, number + 1, GROUPS[number]))
    return made


def learner_of(config: RunConfig, chosen: Sequence[str], moved: float = 0.3) -> Learner:
    """The learner of a config and of options that no config can say, its trained tensors moved off their start.

    ``moved`` is the standard deviation of how far.
    """
    base, task = load_task(config)
    learner = Learner(base, task, task.build(base, config.run.seed))
    for name in chosen:
        mend = OPTIONS[name].mend
        if mend is not None:
            mend(learner)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in learner.model.parameters():
            if parameter.requires_grad:
                parameter.add_(moved * torch.randn(parameter.shape, generator=generator).to(parameter.dtype))
    return learner


@dataclass(frozen=True)
class Learners:
    """Learners that are built once for all configs that build the same one."""

    kept: dict[str, Learner] = field(default_factory=dict)

    def of(self, config: RunConfig, chosen: Sequence[str]) -> Learner:
        """The learner of a config and of what no config can say of its options."""
        mended = [name for name in chosen if OPTIONS[name].mend]
        parts = (config.model, config.adapter, config.adversary, config.task, config.training.checkpointing, mended)
        key = repr(parts)
        if key not in self.kept:
            self.kept[key] = learner_of(config, mended)
        return self.kept[key]


def main() -> None:
    """Measure and print the worst shares."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", action="store_true", help="each pair of options too")
    parser.add_argument("--task", choices=BOTH, action="append", help="measure this task alone")
    arguments = parser.parse_args()
    table = Table("task", "options", "alone", "within a batch", "sum moved by", "others moved by", title="Shares, in C")
    for task in arguments.task or BOTH:
        for chosen, share in measured(task, pairs(task) if arguments.pairs else []):
            row = (share.alone, share.within, share.moved)
            table.add_row(task, " and ".join(chosen) or "none", *(f"{value:.9f}" for value in row), f"{share.others:.1e}")
    Console(width=130).print(table)


def measured(task: str, further: Sequence[tuple[str, ...]]) -> Iterator[tuple[tuple[str, ...], Share]]:
    """Shares on a model of the catalogue: without options, with each, and with further sets of them."""
    config = RunConfig.parse(MODELS[task], task)
    learners, records = Learners(), records_of(task, TEXTS)
    for chosen in [(), *((name,) for name in options_of(task)), *further]:
        if not refused(chosen) and missing(chosen) is None:
            asked_for = with_options(config, chosen)
            yield chosen, share_of(asked_for, learners.of(asked_for, chosen), records)


if __name__ == "__main__":
    main()
