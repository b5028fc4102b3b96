"""Define for each field of a run's config who decides its value at a site: the site, or the server.

A refusal that depends on records answers a yes-or-no question about them, and no noise covers that answer. The server must
therefore not choose the question. ``FIELDS`` says for each field whether it can be part of such a question.
"""

from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, get_args

from pydantic import BaseModel

from shared.config.run import RunConfig
from shared.ops.canonical_json import json_digest

# own: the field decides which records are trained, or which are refused. SITE.toml sets it, and a run must leave it at its
#     default or give the same value.
# replaced: the site uses its own value, whatever the order says.
# server: the field concerns only the server. The site removes it before anything reads it.
# counted: the server may choose the field, and it is read when records are set up; each different set-up is counted.
# open: the field is first read in training, in steps that the plan charges, or has no effect at a site.
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
    "model.warm_start": "open",  # only the server reads the folder; a site gets the adapter with the order
    "model.warm_start_digest": "open",
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
    "task.head_start": "open",  # only the server makes the start; a site gets the adapter with the order
    "task.labels": "own",
    "task.system": "counted",
    "data.source": "open",
    "data.root": "replaced",
    "data.pool": "open",  # only a simulation deals records out
    "data.split": "open",
    "data.split_seed": "open",
    "data.sites": "open",  # the declared size must equal the site's own; the rank is counted as adapter.rank
    "data.columns.text": "own",
    "data.columns.label": "own",
    "data.columns.tags": "own",
    "data.columns.instruction": "own",
    "data.columns.response": "own",
    "data.columns.known": "own",
    "data.columns.person": "own",
    "data.columns.spans": "own",
    "data.label_bins": "own",
    "data.held_out": "open",  # only a simulation holds out records
    "data.cut_chars": "counted",
    "data.planted_bias": "open",  # only a simulation generates records
    "data.cache": "open",  # a site uses data.cache of SITE.toml
    "data.cache_encrypted": "open",
    "cohort.quorum": "open",
    "cohort.sample": "open",
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
    "training.distillation": "counted",  # part of the loss in the start-up check
    "training.proximal": "open",
    "training.micro_batch_tokens": "counted",  # whether a batch fits the memory depends on the lengths of the records
    "training.checkpointing": "counted",
    "training.byte_budget": "open",
    "privacy.enabled": "counted",
    "privacy.trust": "counted",
    "privacy.colluders": "counted",
    "privacy.spare_attempts": "open",
    "privacy.unit": "counted",  # policy.unit is the weakest accepted unit
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
    "adversary.column": "counted",  # one of data.groups in SITE.toml
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
    # Whole sections, because a site reads none of their fields from the order.
    "anonymise": "replaced",
    "gate": "server",
    "aggregation": "open",  # the server aggregates; a site reads only how its noised delta is sent
    "evaluation": "server",
    "report": "server",
    "sweep": "server",
    "compare": "server",
}


def kind_of(path: str) -> Kind | None:
    """Return who decides a field at a site.

    Parameters
    ----------
    path
        Dotted name of the field.

    Returns
    -------
    Kind | None
        Kind of the field or of its whole section; None if ``FIELDS`` contains neither.
    """
    return FIELDS.get(path) or FIELDS.get(path.split(".")[0])


def of_kind(kind: Kind) -> tuple[str, ...]:
    """Return all names in ``FIELDS`` of one kind."""
    return tuple(name for name, own in FIELDS.items() if own == kind)


def value_at(config: BaseModel, path: str) -> Any:
    """Return the value of a field.

    Parameters
    ----------
    config
        A configuration or section.
    path
        Dotted name of the field.

    Returns
    -------
    Any
        The value; None in a section that is not set.
    """
    found: Any = config
    for name in path.split("."):
        found = None if found is None else getattr(found, name)
    return found


def default_at(path: str) -> Any:
    """Return the value that a field has if a run does not set it.

    Parameters
    ----------
    path
        Dotted name of the field.

    Returns
    -------
    Any
        The default; None if the field is required.
    """
    *sections, last = path.split(".")
    section: type[BaseModel] = RunConfig
    for name in sections:
        section = _section(section.model_fields[name].annotation) or section
    field = section.model_fields[last]
    return None if field.is_required() else field.get_default(call_default_factory=True)


def set_up_of(config: RunConfig) -> str:
    """Return an identifier of a set-up of the site's records: two runs have the same if all counted fields are equal.

    Returns
    -------
    str
        SHA-256 of the counted fields, 64 hexadecimal digits.
    """
    tree = config.model_dump(mode="json")
    content = {path: _plain(tree, path) for path in of_kind("counted")}
    return json_digest(content)


def _plain(tree: Mapping[str, Any], path: str) -> Any:
    """Return the value of a dotted name in a tree of plain values; None if a section or the field is missing."""
    found: Any = tree
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _section(annotation: Any) -> type[BaseModel] | None:
    """Return the class of a section, also of an optional one; None for any other type."""
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
