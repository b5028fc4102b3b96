"""The state of a run after a committed round, written so that it is either complete or absent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from shared.adapters.state import AdapterState
from shared.errors import HushtuneError, RunError
from shared.ops import crash_points as faults
from shared.ops.disk import commit_file

STATE = "state.json"


@dataclass(frozen=True)
class Kept:
    """The adapter of an earlier round, kept because it is the best so far and may be published."""

    round: int
    adapter: AdapterState


@dataclass(frozen=True)
class Checkpoint:
    """A run after ``round``: the adapter, the rows of all rounds so far, and what the aggregation keeps.

    ``best`` is None if the last round's adapter is the best. ``memory`` is what the method of aggregation and
    the server's optimiser need in the next round (`server.aggregation.Memory`). There is no random state: whatever a
    server draws follows from the run's seed, the round and a name, or is noise.
    """

    run_id: str
    round: int
    config_digest: str
    adapter: AdapterState
    rounds: Sequence[Mapping[str, Any]] = ()
    best: Kept | None = None
    memory: Mapping[str, AdapterState] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write the arrays beside the old ones, then replace the state file, which commits the round.

        Parameters
        ----------
        folder
            The checkpoint's own folder; made if needed. Arrays of earlier rounds are deleted from it.

        Raises
        ------
        OSError
            The disk is full or not writable; the last checkpoint stays valid.
        """
        folder.mkdir(parents=True, exist_ok=True)
        adapter = _save(folder, "round", self.round, self.adapter)
        state = {
            "run_id": self.run_id,
            "round": self.round,
            "config_digest": self.config_digest,
            "tensors": list(self.adapter.arrays),
            "rounds": list(self.rounds),
            "adapter": adapter["file"],
            "adapter_digest": adapter["digest"],
            "best": self.best and {"round": self.best.round, **_save(folder, "best", self.best.round, self.best.adapter)},
            "memory": {name: _save(folder, name, self.round, arrays) for name, arrays in self.memory.items()},
        }
        faults.point("written", self.round)
        partial = folder / f"{STATE}.partial"
        partial.write_text(json.dumps(state), encoding="utf-8")
        commit_file(partial, folder / STATE)
        named = {entry["file"] for entry in _entries(state).values()}
        for old in folder.glob("*.safetensors*"):
            if old.name not in named:
                old.unlink()

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Read the last committed state.

        Parameters
        ----------
        folder
            The checkpoint's own folder.

        Returns
        -------
        Checkpoint or None
            None where no round was committed yet.

        Raises
        ------
        RunError
            The state is damaged, or an array is not the one that was committed.
        """
        path = folder / STATE
        if not path.exists():
            return None
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            read = {name: _load(folder, entry, state["tensors"]) for name, entry in _entries(state).items()}
            best = Kept(state["best"]["round"], read.pop("best")) if state["best"] else None
            adapter, memory = read.pop("adapter"), {name: read[f"memory {name}"] for name in state["memory"]}
            head = (state["run_id"], state["round"], state["config_digest"])
            return cls(*head, adapter, tuple(state["rounds"]), best, memory)
        except _WrongDigestError as error:
            raise RunError(f"{path}: {error} does not have its digest; restore the folder from a backup") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError, HushtuneError) as error:
            raise RunError(f"{path}: damaged ({type(error).__name__}); restore the folder from a backup") from error


class _WrongDigestError(Exception):
    """A file holds other arrays than were committed."""


def _entries(state: Mapping[str, Any]) -> dict[str, Mapping[str, str]]:
    """List the files of arrays that a state names, each with its digest."""
    adapter = {"file": state["adapter"], "digest": state["adapter_digest"]}
    found = {"adapter": adapter, **{f"memory {name}": entry for name, entry in state["memory"].items()}}
    return found | ({"best": state["best"]} if state["best"] else {})


def _save(folder: Path, kind: str, number: int, arrays: AdapterState) -> dict[str, str]:
    """Write arrays whole or not at all; return the file's name and digest."""
    name = f"{kind}-{number:05d}.safetensors"
    arrays.save(folder / f"{name}.partial")
    commit_file(folder / f"{name}.partial", folder / name)
    return {"file": name, "digest": arrays.digest()}


def _load(folder: Path, entry: Mapping[str, str], tensors: Sequence[str]) -> AdapterState:
    """Read arrays in the model's own order of tensors, which the file does not keep."""
    loaded = AdapterState.load(folder / Path(entry["file"]).name)
    if set(loaded.arrays) != set(tensors):
        raise ValueError("other tensors")
    ordered = AdapterState({tensor: loaded.arrays[tensor] for tensor in tensors})
    if ordered.digest() != entry["digest"]:
        raise _WrongDigestError(entry["file"])
    return ordered
