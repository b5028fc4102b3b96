"""The state of a run after a committed round, written so that it is whole or absent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from shared import faults
from shared.adapter import AdapterState
from shared.disk import commit_file
from shared.errors import HushtuneError, RunError

STATE = "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """The adapter after ``round`` of a run of one config, and the rows of its rounds so far.

    There is no random state in it: all that a server draws follows from the run's seed, the round and a name. The mean
    has no state of its own over rounds either.
    """

    run_id: str
    round: int
    config_digest: str
    adapter: AdapterState
    rounds: Sequence[Mapping[str, Any]] = ()

    def save(self, folder: Path) -> None:
        """Write adapter and state beside the old ones, then rename the state over the old: the rename commits."""
        folder.mkdir(parents=True, exist_ok=True)
        name = f"round-{self.round:05d}.safetensors"
        self.adapter.save(folder / f"{name}.partial")
        commit_file(folder / f"{name}.partial", folder / name)
        faults.point("written", self.round)
        state = {
            "run_id": self.run_id,
            "round": self.round,
            "config_digest": self.config_digest,
            "adapter": name,
            "adapter_digest": self.adapter.digest(),
            "tensors": list(self.adapter.arrays),
            "rounds": list(self.rounds),
        }
        partial = folder / f"{STATE}.partial"
        partial.write_text(json.dumps(state), encoding="utf-8")
        commit_file(partial, folder / STATE)
        for old in folder.glob("round-*.safetensors*"):
            if old.name != name:
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
            loaded = AdapterState.load(folder / Path(state["adapter"]).name)
            adapter = AdapterState({name: loaded.arrays[name] for name in state["tensors"]})  # the model's own order
            whole = adapter.digest() == state["adapter_digest"] and len(adapter.arrays) == len(loaded.arrays)
            found = cls(state["run_id"], state["round"], state["config_digest"], adapter, tuple(state["rounds"]))
        except (OSError, ValueError, KeyError, TypeError, HushtuneError) as error:
            raise RunError(f"{path}: damaged ({type(error).__name__}); restore the folder from a backup") from error
        if not whole:
            raise RunError(f"{path}: its adapter does not have the digest that it names; restore the folder from a backup")
        return found
