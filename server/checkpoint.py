"""The state of a run after a committed round, written so that it is whole or absent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from shared.adapters.state import AdapterState
from shared.errors import HushtuneError, RunError
from shared.ops import crash_points as faults
from shared.ops.disk import commit_file

STATE = "state.json"


@dataclass(frozen=True)
class Kept:
    """The adapter of an earlier round, kept because it is the one to publish so far."""

    round: int
    adapter: AdapterState


@dataclass(frozen=True)
class Checkpoint:
    """The adapter after ``round`` of a run of one config, the rows of its rounds so far, and the best adapter of these.

    ``best`` is None where the last round is the one to publish.
    There is no random state in it: all that a server draws follows from the run's seed, the round and a name. The mean
    has no state of its own over rounds either.
    """

    run_id: str
    round: int
    config_digest: str
    adapter: AdapterState
    rounds: Sequence[Mapping[str, Any]] = ()
    best: Kept | None = None

    def save(self, folder: Path) -> None:
        """Write adapter and state beside the old ones, then rename the state over the old: the rename commits."""
        folder.mkdir(parents=True, exist_ok=True)
        name = _save(folder, "round", self.round, self.adapter)
        best = self.best and _save(folder, "best", self.best.round, self.best.adapter)
        faults.point("written", self.round)
        state = {
            "run_id": self.run_id,
            "round": self.round,
            "config_digest": self.config_digest,
            "adapter": name,
            "adapter_digest": self.adapter.digest(),
            "tensors": list(self.adapter.arrays),
            "rounds": list(self.rounds),
            "best": self.best and {"round": self.best.round, "adapter": best, "digest": self.best.adapter.digest()},
        }
        partial = folder / f"{STATE}.partial"
        partial.write_text(json.dumps(state), encoding="utf-8")
        commit_file(partial, folder / STATE)
        for old in folder.glob("*.safetensors*"):
            if old.name not in (name, best):
                old.unlink()

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """The last committed state, or None where no round was committed yet.

        Raises:
            RunError: the state is damaged; a wrong one is never returned.
        """
        path = folder / STATE
        if not path.exists():
            return None
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            adapter, kept = _load(folder, state["adapter"], state["tensors"]), state.get("best")
            best = Kept(kept["round"], _load(folder, kept["adapter"], state["tensors"])) if kept else None
            found = cls(state["run_id"], state["round"], state["config_digest"], adapter, tuple(state["rounds"]), best)
            wanted = [state["adapter_digest"], *([kept["digest"]] if kept else [])]
        except (OSError, ValueError, KeyError, TypeError, HushtuneError) as error:
            raise RunError(f"{path}: damaged ({type(error).__name__}); restore the folder from a backup") from error
        if [each.digest() for each in (adapter, *([best.adapter] if best else []))] != wanted:
            raise RunError(f"{path}: an adapter does not have the digest that it names; restore the folder from a backup")
        return found


def _save(folder: Path, kind: str, number: int, adapter: AdapterState) -> str:
    """Write an adapter whole or not at all; gives its file's name."""
    name = f"{kind}-{number:05d}.safetensors"
    adapter.save(folder / f"{name}.partial")
    commit_file(folder / f"{name}.partial", folder / name)
    return name


def _load(folder: Path, name: str, tensors: Sequence[str]) -> AdapterState:
    """An adapter in the model's own order of tensors, which the file does not keep.

    Raises:
        ValueError: the file holds other tensors.
    """
    loaded = AdapterState.load(folder / Path(name).name)
    if set(loaded.arrays) != set(tensors):
        raise ValueError("other tensors")
    return AdapterState({tensor: loaded.arrays[tensor] for tensor in tensors})
