"""All config options that affect how one unit's gradient is computed, so that `bench.share` measures each, and each pair."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
TASKS = ("classification", "instruction", "token_classification")
CLASSIFY, INSTRUCT = TASKS[:1], TASKS[1:2]
LARGEST_SET = 12  # options in a set that covers many pairs at once
REWORDED, ENCODED = TASKS[:2], (TASKS[0], TASKS[2])  # tasks whose texts may change, and tasks of an encoder


def _padded(learner: Learner) -> Learner:
    """Return the learner with padded batches, as for models that cannot use packed ones."""
    return replace(learner, may_pack=False)


def _hooked(learner: Learner) -> Learner:
    """Train a normalisation layer too; no fused layer covers it, so Opacus' hooks compute all per-record gradients."""
    layers = [m for m in learner.model.modules() if "norm" in type(m).__name__.lower() and hasattr(m, "weight")]
    layers[-1].requires_grad_(True)
    return _padded(learner)


@dataclass(frozen=True)
class Option:
    """Changes of a config that affect how gradients are computed.

    ``modify`` returns a changed learner, where no config field can do so. ``lone`` options, which no config can express, are
    not paired.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    tasks: tuple[str, ...] = TASKS
    modify: Callable[[Learner], Learner] | None = None
    package: str | None = None
    lone: bool = False


OPTIONS: Mapping[str, Option] = {
    "ia3": Option({"adapter": {"family": "ia3"}}),  # replaces all fields of LoRA, so it comes first; core likewise
    "core": Option({"adapter": {"family": "core", "rank": 6}}),
    "head only": Option({"adapter.rank": 0}, ENCODED),
    # So high that gradients stay in factored form; a chat template alone is longer than 8 tokens.
    "high rank": Option({"adapter.rank": 128, "adapter.alpha": 1.0, "model.max_length": 8}, ENCODED),
    "high rank of responses": Option({"adapter.rank": 256, "adapter.alpha": 1.0, "model.max_length": 48}, INSTRUCT),
    "rank-stabilised": Option({"adapter.scaling": "rank-stabilised"}),
    "dropout": Option({"adapter.dropout": 0.3}),
    "dense layers": Option({"adapter.targets": ["dense"], "adapter.last_layers": 2}, ENCODED),
    "feed-forward": Option({"adapter.targets": ["up_proj", "down_proj"]}, INSTRUCT),
    "vocabulary": Option({"adapter.targets": ["q_proj", "lm_head"]}, INSTRUCT),
    "prefix": Option({"adapter.last_layers": 1}),  # the layers below are computed once
    "one layer": Option({"adapter.layers": [0]}),
    "adversary": Option({"adversary": {"column": "sex", "groups": ["woman", "man"], "weight": 5.0}}, CLASSIFY),
    "views": Option({"augmentation.views": 2, "augmentation.rate": 0.5}, REWORDED),
    "paraphrases": Option({"augmentation.views": 2, "augmentation.paraphrases": 2, "augmentation.noises": []}, REWORDED),
    "swaps": Option({"augmentation.swaps": ["gender", "names"]}, REWORDED),
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
    "padded": Option(modify=_padded),
    "shared noise": Option(
        {
            "privacy.trust": "distributed",
            "training.steps": 1,
            "aggregation.weights": "declared",
            "aggregation.optimiser": "adamw",
            "data.sites": [
                {"id": name, "file": f"{name}.jsonl", "declared_size": 100} for name in ("north", "east", "south")
            ],
        }
    ),
    "hooks": Option(modify=_hooked, lone=True),
}
# Fields, and values of fields, that no option covers, each with the reason why no share can depend on them.
EXCLUDED: Mapping[str, str] = {
    "adapter.train": "always B with privacy",
    "augmentation.paraphraser": "names the model that writes paraphrases; the shares use given paraphrases",
    "balance.count_noise": "training uses the weights in the same way whatever their values",
    "balance.resample": "not allowed with privacy",
    "model.name": "one model is measured for each task",
    "model.sha256": "identifies the file that is read",
    "model.warm_start": "says where training starts; the bound holds at any adapter",
    "model.warm_start_digest": "identifies the adapter that is read",
    "model.dtype = auto": "resolves to one of the measured dtypes",
    "model.dtype = float32": "measured without any option",
    "model.device": "measured on a CPU; tests marked gpu compare a GPU with it",
    "privacy.enabled": "without privacy there is no bound",
    "privacy.unit = site": "only with trust central",
    "privacy.trust = central": "uses the server's mechanism, privacy/dp/central.py",
    "privacy.colluders": "sets the noise",
    "privacy.spare_attempts": "sets the noise",
    "privacy.epsilon": "sets the noise, not the sum",
    "privacy.target_delta": "sets the noise",
    "privacy.accountant": "sets the noise",
    "privacy.clipping_norm": "the unit of shares; measured at a small and a large norm",
    "privacy.self_check": "a check before training",
    "privacy.release": "not in the gradient sum",
    "privacy.release_noise": "not in the gradient sum",
    "privacy.release_loss_bound": "not in the gradient sum",
    "privacy.site_rate": "only with trust central",
    "privacy.ledger": "the path of the ledger",
    "privacy.budget": "a limit on spending",
    "training.rounds": "each step is measured on its own",
    "training.sampling_rate": "the units of each step are given",
    "training.learning_rate": "applied after the noise",
    "training.head_learning_rate": "applied after the noise",
    "training.warmup": "applied after the noise",
    "training.schedule": "applied after the noise",
    "training.byte_budget": "ends a run between two rounds",
}
# Options, and pairs of options, that are refused with an error in the config or before the first step.
REFUSED = frozenset(
    frozenset(pair)
    for pair in (
        ("ia3", "high rank"),
        ("ia3", "high rank of responses"),
        ("ia3", "rank-stabilised"),
        ("ia3", "dropout"),
        ("ia3", "weight decay"),
        ("core", "dropout"),
        ("adaptive", "shared noise"),
        ("counted weights", "shared noise"),
        ("proximal", "shared noise"),
        ("head only", "distillation"),
        ("head only", "adversary"),
        ("prefix", "one layer"),
        ("dense layers", "one layer"),
    )
)


def fields() -> set[str]:
    """Return the names of all fields in the config sections that private training depends on."""
    return {f"{name}.{key}" for name, section in SECTIONS.items() for key in section.model_fields}


def varied() -> dict[str, list[Any]]:
    """Return each field that an option changes, with the values that options give it."""
    taken: dict[str, list[Any]] = {}
    for option in OPTIONS.values():
        for name, value in option.changes.items():
            section = {f"{name}.{key}": each for key, each in value.items()} if isinstance(value, Mapping) else {name: value}
            for dotted, each in section.items():
                taken.setdefault(dotted, []).append(each)
    return {name: values for name, values in taken.items() if name in fields()}


def changes_of(chosen: Sequence[str]) -> dict[str, Any] | None:
    """Merge the changes of several options; None if they give one field two values."""
    together: dict[str, Any] = {}
    for name in OPTIONS:
        for key, value in OPTIONS[name].changes.items() if name in chosen else ():
            if together.setdefault(key, value) != value:
                return None
    return together


def refused(chosen: Sequence[str]) -> bool:
    """Return whether one of the options, or a pair of them, is refused."""
    return any(names <= set(chosen) for names in REFUSED)


def missing(chosen: Sequence[str]) -> str | None:
    """Return a package that an option needs but that is not installed, if any."""
    needed = (OPTIONS[name].package for name in chosen)
    return next((package for package in needed if package and find_spec(package) is None), None)


def pairs(task: str) -> list[tuple[str, str]]:
    """Return all pairs of a task's options, except pairs that give one field two values."""
    names = [name for name in options_of(task) if not OPTIONS[name].lone]
    return [pair for pair in combinations(names, 2) if changes_of(pair) is not None]


def options_of(task: str) -> list[str]:
    """Return the names of a task's options."""
    return [name for name, option in OPTIONS.items() if task in option.tasks]


def covering_sets(task: str) -> list[tuple[str, ...]]:
    """Return sets of at most ``LARGEST_SET`` compatible options that together cover every compatible pair."""
    able = [name for name in options_of(task) if not OPTIONS[name].lone and not refused((name,)) and not missing((name,))]
    open_pairs = {frozenset(pair) for pair in pairs(task) if set(pair) <= set(able) and not refused(pair)}
    made = []
    while open_pairs:
        crowd = sorted(min(open_pairs, key=sorted))
        while len(crowd) < LARGEST_SET:
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
