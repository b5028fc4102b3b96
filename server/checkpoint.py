"""The state of a run after a committed round, written so that it is whole or absent."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from shared.adapter import AdapterState


@dataclass(frozen=True)
class Checkpoint:
    """The adapter after ``round`` of a run of one config."""

    run_id: str
    round: int
    config_digest: str
    adapter: AdapterState

    def save(self, folder: Path) -> None:
        """Write adapter and state beside the old ones, then rename the state over the old: the rename commits."""
        folder.mkdir(parents=True, exist_ok=True)
        name = f"round-{self.round:05d}.safetensors"
        self.adapter.save(folder / f"{name}.partial")
        _commit(folder / f"{name}.partial", folder / name)
        state = {
            "run_id": self.run_id,
            "round": self.round,
            "config_digest": self.config_digest,
            "adapter": name,
            "adapter_digest": self.adapter.digest(),
        }
        partial = folder / "state.json.partial"
        partial.write_text(json.dumps(state), encoding="utf-8")
        _commit(partial, folder / "state.json")
        for old in folder.glob("round-*.safetensors"):
            if old.name != name:
                old.unlink()


def _commit(partial: Path, final: Path) -> None:
    """Flush to the disk, rename, and flush the folder's entry."""
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    partial.rename(final)
    entry = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)
