"""Every option that has a say in how one unit's gradient is made, so that shares are measured under each and each pair."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import combinations
from typing import Any

from shared.config.adapter import AdapterSection
from shared.config.adversary import AdversarySection
from shared.config.data_stage import AugmentationSection, BalanceSection
from shared.config.model import ModelSection
from shared.config.privacy import PrivacySection
from shared.config.section import Section
from shared.config.training import TrainingSection
from shared.tasks.base import Learner

SECTIONS: Mapping[str, type[Section]] = {
    "adapter": AdapterSection,
    "adversary": AdversarySection,
    "augmentation": AugmentationSection,
    "balance": BalanceSection,
    "model": ModelSection,
    "privacy": PrivacySection,
    "training": TrainingSection,
}
BOTH = ("classification", "instruction")
CLASSIFY, INSTRUCT = BOTH[:1], BOTH[1:]


def _padded(learner: Learner) -> None:
    """Compute batches with their padding, as models of other kinds do."""
    vars(learner)["packs"] = False


def _hooked(learner: Learner) -> None:
    """Train a normalisation too, which no fused layer covers, so that Opacus' hooks make all gradients."""
    layers = [m for m in learner.model.modules() if "norm" in type(m).__name__.lower() and hasattr(m, "weight")]
    layers[-1].requires_grad_(True)
    _padded(learner)


@dataclass(frozen=True)
class Option:
    """Values of a config that change how gradients are made.

    ``mend`` is done to the learner where a config can't say it; with ``lone`` no config can lead there, so it is in no pair.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    tasks: tuple[str, ...] = BOTH
    mend: Callable[[Learner], None] | None = None
    package: str | None = None
    lone: bool = False


OPTIONS: Mapping[str, Option] = {
    "ia3": Option({"adapter": {"family": "ia3"}}),  # it takes the place of all that LoRA has, so it comes first
    "head alone": Option({"adapter.rank": 0}, CLASSIFY),
    "high rank": Option({"adapter.rank": 128, "adapter.alpha": 1.0, "model.max_length": 8}),  # gradients that stay factored
    "rank-stabilised": Option({"adapter.scaling": "rank-stabilised"}),
    "dropout": Option({"adapter.dropout": 0.3}),
    "dense layers": Option({"adapter.targets": ["dense"], "adapter.last_layers": 2}, CLASSIFY),
    "feed-forward": Option({"adapter.targets": ["up_proj", "down_proj"]}, INSTRUCT),
    "vocabulary": Option({"adapter.targets": ["q_proj", "lm_head"]}, INSTRUCT),
    "prefix": Option({"adapter.last_layers": 1}),  # what lies below is computed once
    "one layer": Option({"adapter.layers": [0]}),
    "adversary": Option({"adversary": {"column": "sex", "groups": ["woman", "man"], "weight": 5.0}}, CLASSIFY),
    "views": Option({"augmentation.views": 2, "augmentation.rate": 0.5}),
    "paraphrases": Option({"augmentation.views": 2, "augmentation.paraphrases": 2, "augmentation.noises": []}),
    "swaps": Option({"augmentation.swaps": ["gender", "names"]}),
    "public weights": Option({"balance.weights": "public", "balance.label_shares": [0.85, 0.05, 0.05, 0.05]}, CLASSIFY),
    "counted weights": Option({"balance.weights": "counts", "balance.largest_weight": 1000.0}, CLASSIFY),
    "bfloat16": Option({"model.dtype": "bfloat16"}),
    "nf4": Option({"model.dtype": "nf4"}, package="bitsandbytes"),
    "person": Option({"privacy.unit": "person", "privacy.person_cap": 3, "data.columns.person": "person"}),
    "automatic": Option({"privacy.clipping": "automatic"}),
    "per-layer": Option({"privacy.clipping": "per-layer"}),
    "adaptive": Option({"privacy.clipping": "adaptive"}),
    "distillation": Option({"training.distillation": 10.0}),
    "proximal": Option({"training.proximal": 10.0}),
    "weight decay": Option({"training.weight_decay": 0.5}),
    "cut batches": Option({"training.micro_batch_tokens": 64}),
    "batches that fit": Option({"training.micro_batch_tokens": "auto"}),
    "checkpointing": Option({"training.checkpointing": True}),
    "padded": Option(mend=_padded),
    "hooks": Option(mend=_hooked, lone=True),
}
# Fields that no option varies, and values of fields that none takes, and why no share can depend on them.
BESIDE: Mapping[str, str] = {
    "adapter.train": "under privacy B alone",
    "augmentation.paraphraser": "names the model that writes; views are of what it wrote",
    "balance.count_noise": "the weights are numbers to the training, whatever they are",
    "balance.resample": "not under privacy",
    "model.name": "two models, one a task",
    "model.sha256": "which file is read",
    "model.dtype = auto": "one of those that are named",
    "model.dtype = float32": "what is measured without the option",
    "model.device": "a CPU here; tests marked gpu compare a GPU with it",
    "privacy.enabled": "there is no bound without",
    "privacy.unit = site": "under trust central alone",
    "privacy.trust": "the server's own mechanism, in privacy/dp/central.py",
    "privacy.epsilon": "sets the noise, not what it is added to",
    "privacy.target_delta": "sets the noise",
    "privacy.accountant": "sets the noise",
    "privacy.clipping_norm": "shares are measured in it, at a small and a large one",
    "privacy.self_check": "refuses, before training",
    "privacy.release": "not in the gradient sum",
    "privacy.release_noise": "not in the gradient sum",
    "privacy.release_loss_bound": "not in the gradient sum",
    "privacy.site_rate": "under trust central alone",
    "privacy.ledger": "where is written what was spent",
    "privacy.budget": "how much may be spent",
    "training.rounds": "each step is measured by itself",
    "training.steps": "each step is measured by itself",
    "training.sampling_rate": "which units are in a step is given here",
    "training.learning_rate": "what is done with the noised sum",
    "training.head_learning_rate": "what is done with the noised sum",
    "training.warmup": "what is done with the noised sum",
    "training.schedule": "what is done with the noised sum",
}
# Options and pairs of them that are refused by name, in the config or before the first step.
REFUSED = frozenset(
    frozenset(pair)
    for pair in (
        ("ia3", "high rank"),
        ("ia3", "rank-stabilised"),
        ("ia3", "dropout"),
        ("ia3", "weight decay"),
        ("head alone", "distillation"),
        ("head alone", "adversary"),
        ("prefix", "one layer"),
        ("dense layers", "one layer"),
        ("vocabulary",),  # its rows are tokens, so one record would be clipped as many
    )
)


def fields() -> set[str]:
    """The names of all fields of the sections that training under privacy is given."""
    return {f"{name}.{key}" for name, section in SECTIONS.items() for key in section.model_fields}


def varied() -> dict[str, list[Any]]:
    """The fields that some option varies, with the values that they take in options."""
    taken: dict[str, list[Any]] = {}
    for option in OPTIONS.values():
        for name, value in option.changes.items():
            section = {f"{name}.{key}": each for key, each in value.items()} if isinstance(value, Mapping) else {name: value}
            for dotted, each in section.items():
                taken.setdefault(dotted, []).append(each)
    return {name: values for name, values in taken.items() if name in fields()}


def changes_of(chosen: Sequence[str]) -> dict[str, Any] | None:
    """What some options change together; None where they ask for two values of one field."""
    together: dict[str, Any] = {}
    for name in OPTIONS:
        for key, value in OPTIONS[name].changes.items() if name in chosen else ():
            if together.setdefault(key, value) != value:
                return None
    return together


def refused(chosen: Sequence[str]) -> bool:
    """Whether an option or two of them are refused by name."""
    return any(names <= set(chosen) for names in REFUSED)


def missing(chosen: Sequence[str]) -> str | None:
    """An optional package that an option needs and that is not installed."""
    needed = (OPTIONS[name].package for name in chosen)
    return next((package for package in needed if package and find_spec(package) is None), None)


def pairs(task: str) -> list[tuple[str, str]]:
    """All pairs of a task's options but for those that set one field to two values."""
    names = [name for name in options_of(task) if not OPTIONS[name].lone]
    return [pair for pair in combinations(names, 2) if changes_of(pair) is not None]


def options_of(task: str) -> list[str]:
    """The names of a task's options."""
    return [name for name, option in OPTIONS.items() if task in option.tasks]


def crowds(task: str, most: int = 12) -> list[tuple[str, ...]]:
    """Sets of at most ``most`` options that may be together, so that each pair that may be is in one of them."""
    able = [name for name in options_of(task) if not OPTIONS[name].lone and not refused((name,)) and not missing((name,))]
    open_pairs = {frozenset(pair) for pair in pairs(task) if set(pair) <= set(able) and not refused(pair)}
    made = []
    while open_pairs:
        crowd = sorted(min(open_pairs, key=sorted))
        while len(crowd) < most:
            gains = {name: sum(frozenset((name, other)) in open_pairs for other in crowd) for name in able}
            fitting = [name for name in able if gains[name] and _fits(name, crowd)]
            if not fitting:
                break
            crowd.append(max(fitting, key=gains.__getitem__))
        open_pairs -= {frozenset(pair) for pair in combinations(crowd, 2)}
        made.append(tuple(name for name in OPTIONS if name in crowd))
    return made


def _fits(name: str, crowd: Sequence[str]) -> bool:
    together = (name, *crowd)
    return name not in crowd and changes_of(together) is not None and not refused(together)
