"""Fixtures for federations of real processes, with the tiny model or a real one."""

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import merged


def _harness() -> ModuleType:
    """Import federation.py from this folder; the tests are not packages, so a normal import does not find it."""
    name = "federation"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("federation.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


SITES = ("east", "north", "south")


@pytest.fixture(scope="session")
def harness() -> ModuleType:
    return _harness()


@pytest.fixture(scope="session")
def nursery() -> Any:
    """Return a launcher whose processes start fast."""
    return _harness().Nursery()


@pytest.fixture
def federation(tmp_path: Path, tiny_bert: Path, nursery: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that provisions three sites with the tiny model: ``federation({"training.rounds": 2})``.

    All processes are ended after the test.
    """
    made = []

    def build(changes: Mapping[str, Any] = {}, launcher: Any = None, given: Mapping[str, str] = {}) -> Any:
        harness, folder = _harness(), tmp_path / f"federation-{len(made)}"
        tree = merged(small_tree(tiny_bert, folder), changes)
        rows = {name: harness.random_rows(80, number) for number, name in enumerate(SITES)}
        made.append(harness.build(folder, tree, rows, launcher or nursery))
        made[-1].given = given
        return made[-1]

    yield build
    for each in made:
        each.end()


def small_tree(model: Path, folder: Path) -> dict[str, Any]:
    """Return the config tree of a small run at three sites, without privacy; the quorum is all three."""
    sha256 = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    names = {"name": str(model), "sha256": sha256, "dtype": "float32", "device": "cpu", "max_length": 24}
    sites = [{"id": name, "file": f"{name}.jsonl", "declared_size": 60} for name in SITES]
    return {
        "run": {"name": "t", "seed": 3, "output": str(folder / "runs")},
        "model": names,
        "adapter": {"rank": 2},
        "task": {"labels": ["no", "yes"]},
        "data": {"root": str(folder / "data"), "sites": sites},
        "cohort": {"quorum": 3, "min_records": 4, "deadline": 600.0, "patience": 120.0},
        "training": {"rounds": 2, "steps": 2, "sampling_rate": 0.2, "micro_batch_tokens": 128},
        "privacy": {"enabled": False},
        "anonymise": {"workers": 1},
        "evaluation": {"file": str(folder / "held_out.jsonl"), "bootstrap": 100},
    }
