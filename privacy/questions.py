"""Which questions about its records a site lets a server ask: each field of a run's config, and who decides it at a site.

A refusal that depends on records answers a yes-or-no question about them, and no noise covers the answer. So a server may
not choose the question. ``FIELDS`` says of each field whether it can be part of one.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, Literal, get_args

from pydantic import BaseModel

from shared.config.run import RunConfig

# own: it decides which records train, or what is refused for them. SITE.toml names it, and a run leaves it at its default
#     or says the same.
# replaced: the site puts its own in its place, whatever the order says.
# server: it is the server's business alone. The site drops it before anything reads it.
# counted: a server may choose it, and it is read when records are set up, so each different set-up is counted.
# open: it is first read in training, on what the plan charges for, or does nothing at a site.
Kind = Literal["own", "replaced", "server", "counted", "open"]

FIELDS: Mapping[str, Kind] = {
    "run.name": "open",
    "run.seed": "counted",
    "run.output": "open",
    "model.name": "counted",
    "model.sha256": "counted",
    "model.device": "replaced",
    "model.dtype": "counted",
    "model.max_length": "counted",
    "adapter.family": "counted",
    "adapter.rank": "counted",
    "adapter.alpha": "counted",
    "adapter.targets": "counted",
    "adapter.last_layers": "counted",
    "adapter.layers": "counted",
    "adapter.scaling": "counted",
    "adapter.dropout": "counted",
    "adapter.train": "counted",
    "task.name": "counted",
    "task.labels": "own",
    "task.system": "counted",
    "data.source": "open",
    "data.root": "replaced",
    "data.sites": "open",  # the declared size must be the site's own; nothing else of it is read
    "data.columns.text": "own",
    "data.columns.label": "own",
    "data.columns.tags": "own",
    "data.columns.instruction": "own",
    "data.columns.response": "own",
    "data.columns.known": "own",
    "data.columns.person": "own",
    "data.columns.spans": "own",
    "data.label_bins": "own",
    "data.held_out": "open",  # a simulation alone divides records
    "data.cut_chars": "counted",
    "data.planted_bias": "open",  # and generates some
    "data.cache": "open",  # the site's own is in data.cache of SITE.toml
    "data.cache_encrypted": "open",
    "cohort.quorum": "open",
    "cohort.deadline": "open",
    "cohort.attempts": "open",
    "cohort.pause": "open",
    "cohort.patience": "open",
    "cohort.min_records": "own",
    "training.rounds": "open",
    "training.steps": "open",
    "training.sampling_rate": "open",
    "training.learning_rate": "open",
    "training.head_learning_rate": "open",
    "training.warmup": "open",
    "training.schedule": "open",
    "training.weight_decay": "open",
    "training.distillation": "counted",  # part of the loss that the start-up check compares
    "training.proximal": "open",
    "training.micro_batch_tokens": "counted",  # what fits the memory depends on the records' lengths
    "training.checkpointing": "counted",
    "privacy.enabled": "counted",
    "privacy.trust": "counted",
    "privacy.unit": "counted",  # policy.unit is the weakest that is accepted
    "privacy.person_cap": "counted",
    "privacy.epsilon": "open",
    "privacy.target_delta": "open",
    "privacy.accountant": "open",
    "privacy.clipping_norm": "open",
    "privacy.clipping": "open",
    "privacy.self_check": "counted",
    "privacy.release": "open",
    "privacy.release_noise": "open",
    "privacy.release_loss_bound": "open",
    "privacy.site_rate": "open",
    "privacy.ledger": "open",
    "privacy.budget": "open",
    "adversary.column": "counted",  # one of data.groups, which are the site's own
    "adversary.groups": "own",
    "adversary.weight": "counted",
    "cleaning.repair": "own",
    "cleaning.languages": "own",
    "cleaning.min_chars": "own",
    "cleaning.max_repetition": "own",
    "cleaning.exact_duplicates": "own",
    "cleaning.label_conflicts": "own",
    "cleaning.near_duplicates": "own",
    "balance.weights": "open",
    "balance.label_shares": "open",
    "balance.count_noise": "open",
    "balance.largest_weight": "open",
    "balance.resample": "counted",
    "augmentation.views": "counted",
    "augmentation.noises": "counted",
    "augmentation.rate": "counted",
    "augmentation.swaps": "counted",
    "augmentation.paraphrases": "counted",
    "augmentation.paraphraser": "replaced",
    # Whole sections, because a site reads nothing of them.
    "anonymise": "replaced",
    "gate": "server",
    "aggregation": "server",
    "evaluation": "server",
    "report": "server",
    "sweep": "server",
    "compare": "server",
}


def leaves(section: type[BaseModel] = RunConfig, above: str = "") -> Iterator[str]:
    """The dotted names of all fields of a config; a list of sections counts as one field."""
    for name, field in section.model_fields.items():
        inner, path = _section(field.annotation), f"{above}{name}"
        yield from leaves(inner, f"{path}.") if inner else [path]


def kind_of(path: str) -> Kind | None:
    """Who decides the field of this dotted name at a site; None where ``FIELDS`` has neither it nor its whole section."""
    return FIELDS.get(path) or FIELDS.get(path.split(".")[0])


def of_kind(kind: Kind) -> tuple[str, ...]:
    """The names in ``FIELDS`` of one kind."""
    return tuple(name for name, own in FIELDS.items() if own == kind)


def value_at(config: BaseModel, path: str) -> Any:
    """The value of a dotted name; None in a section that is not there."""
    found: Any = config
    for name in path.split("."):
        found = None if found is None else getattr(found, name)
    return found


def default_at(path: str) -> Any:
    """The value that a dotted name has where a run leaves it out; None where it must be given."""
    *sections, last = path.split(".")
    section: type[BaseModel] = RunConfig
    for name in sections:
        section = _section(section.model_fields[name].annotation) or section
    field = section.model_fields[last]
    return None if field.is_required() else field.get_default(call_default_factory=True)


def set_up_of(config: RunConfig) -> str:
    """What tells one set-up of a site's records from another: SHA-256 of all counted fields, 64 hexadecimal digits."""
    tree = config.model_dump(mode="json")
    content = {path: _plain(tree, path) for path in of_kind("counted")}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _plain(tree: Mapping[str, Any], path: str) -> Any:
    """The value of a dotted name in a tree of plain values; None where a section or field is not there."""
    found: Any = tree
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _section(annotation: Any) -> type[BaseModel] | None:
    """The class of a section, or of one that may be left out; None of anything else."""
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
