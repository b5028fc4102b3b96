"""Fill in what a run's config leaves out, where the default depends on another section or on a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.config.aggregation import GRADIENT_OPTIMISERS
from shared.config.task import DECLARED
from shared.errors import ConfigError
from shared.records.labels import FROM_FILE, read_labels


def with_defaults(tree: Any) -> Any:
    """Return a run's plain values with the defaults of its task and of its trust model; a value that is set stays.

    Parameters
    ----------
    tree
        Sections by name. Anything of another form is returned as it is, so that the sections refuse it.
    """
    return _with_defaults_of_trust(_with_operator_of_task(tree)) if isinstance(tree, dict) else tree


def with_labels_of_file(tree: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a run's plain values with the labels in its public test file, if ``task.labels`` asks for these.

    Parameters
    ----------
    tree
        Sections by name.
    path
        File that the tree came from, for an error message.

    Raises
    ------
    ConfigError
        No test file is set.
    DataError
        The test file cannot be read, or its column holds no labels.
    """
    if _at(tree, "task", "labels") != FROM_FILE:
        return tree
    file = _at(tree, "evaluation", "file")
    if not isinstance(file, str):
        raise ConfigError(
            f"{path}: task.labels = '{FROM_FILE}': needs evaluation.file; name the public test file, or the labels"
        )
    kind = "tags" if _at(tree, "task", "name") == "token_classification" else "label"
    labels = read_labels(Path(file), str(_at(tree, "data", "columns", kind) or kind))
    return tree | {"task": tree["task"] | {"labels": labels}}


def _with_operator_of_task(tree: dict[str, Any]) -> dict[str, Any]:
    """Set ``anonymise.operator`` to the task's own default."""
    task, anonymise = tree.get("task"), tree.get("anonymise", {})
    declared = DECLARED.get(str(task.get("name"))) if isinstance(task, dict) else None
    if isinstance(anonymise, dict) and declared and declared.operator:
        return tree | {"anonymise": {"operator": declared.operator} | anonymise}
    return tree


def _with_defaults_of_trust(tree: dict[str, Any]) -> dict[str, Any]:
    """Set what ``privacy.trust = "distributed"`` needs: one step a round, weights by size, an optimiser at the server.

    The server's SGD gets a constant learning rate and a momentum of 0.7, because such runs take few steps.
    `python -m bench.study bench/rates.toml` compares these defaults with a decaying rate and a momentum of 0.9.
    """
    sections = [tree.get(name, {}) for name in ("privacy", "aggregation", "training")]
    if not all(isinstance(section, dict) for section in sections) or sections[0].get("trust") != "distributed":
        return tree
    privacy, aggregation, training = sections
    if privacy.get("enabled") is False:  # nothing is shared, and sites take as many steps of their own
        return tree | {"training": {"steps": 1} | training}
    aggregation = {"optimiser": next(iter(GRADIENT_OPTIMISERS)), "weights": "declared"} | aggregation
    rates: dict[str, Any] = {}
    for name, (adapter, head) in GRADIENT_OPTIMISERS.items():
        if name == aggregation["optimiser"]:
            rates = {"learning_rate": adapter, "head_learning_rate": head}
    if aggregation["optimiser"] == "sgd":
        rates["schedule"], aggregation = "constant", {"momentum": 0.7} | aggregation
    return tree | {"aggregation": aggregation, "training": {"steps": 1} | rates | training}


def _at(tree: Any, *names: str) -> Any:
    """Return a value in a tree of plain values; None if the tree does not have it."""
    for name in names:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree
