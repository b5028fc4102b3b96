"""Finished replies by (run, round): a site that lost the connection sends again what it made, and never trains twice."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from shared.adapters.state import AdapterState
from shared.errors import MessageError, RunError
from shared.ops.disk import commit_file
from shared.wire.messages import SHORT_NAME

RUNS, ROUNDS = 4, 3  # how many runs are kept, and how many of the last rounds of each


@dataclass(frozen=True)
class Finished:
    """What one round made: the delta, and the released sums where the plan has them."""

    delta: AdapterState
    released: Mapping[str, float] = field(default_factory=dict)


class Outbox:
    """A folder with one safetensors file a reply; its own header says what it answers, and what it holds in order.

    Without a folder, as in a simulation, it remembers the last reply alone.

    What is sent again costs no privacy: it is the very reply that the ledger was charged for. Only the newest ``RUNS``
    runs and the last ``ROUNDS`` rounds of each are kept; an older order cannot come from a server that keeps its state.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._last: tuple[tuple[str, int, str], Finished] | None = None

    def stored(self, run_id: str, round_number: int, start: str) -> Finished | None:
        """What was made for this round of this run from the adapter with digest ``start``, bit for bit, or None.

        Raises:
            MessageError: the run's id is no short name, or the round was answered for another adapter.
            RunError: the reply is there but damaged; it is never made anew, because its privacy is spent.
        """
        if self._folder is None:
            return self._last[1] if self._last and self._last[0] == (run_id, round_number, start) else None
        path = _path(self._folder, run_id, round_number)
        if not path.is_file():
            return None
        finished, kept_start = _read(path, run_id, round_number)
        if kept_start != start:
            raise MessageError(f"round {round_number} of run {run_id} was answered for another adapter; start a new run")
        return finished

    def store(self, run_id: str, round_number: int, start: str, finished: Finished) -> None:
        """Keep what a round made, on the disk before this returns, and drop what is too old to be asked for.

        Raises:
            MessageError: the run's id is no short name.
            OSError: the disk is full or may not be written.
        """
        if self._folder is None:
            self._last = (run_id, round_number, start), finished
            return
        path = _path(self._folder, run_id, round_number)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        arrays = {name: np.asarray(array, order="C") for name, array in finished.delta.arrays.items()}
        save_file(arrays, partial, {"reply": json.dumps(_header(run_id, round_number, start, finished))})
        partial.chmod(0o600)
        commit_file(partial, path)
        _drop_old(path.parent)


def _path(folder: Path, run_id: str, round_number: int) -> Path:
    if not SHORT_NAME.fullmatch(run_id):
        raise MessageError("outbox: the run's id is no short name, so it may not become part of a path")
    return folder / run_id / f"round-{round_number:06d}.safetensors"


def _read(path: Path, run_id: str, round_number: int) -> tuple[Finished, str]:
    """A stored reply, and the digest of the adapter that it started from."""
    try:
        with safe_open(path, framework="numpy") as stream:
            header = json.loads(stream.metadata()["reply"])
            delta = AdapterState({name: stream.get_tensor(name) for name in header["names"]})
        finished = Finished(delta, header["released"])
        whole = header == _header(run_id, round_number, header["start"], finished)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise RunError(
            f"{path}: the stored reply is damaged; round {round_number} stays spent, so the site sits this round out"
        )
    return finished, str(header["start"])


def _drop_old(current: Path) -> None:
    """Keep the run that was just written, the newest of the others, and the last rounds of this one."""
    runs = [run for run in current.parent.iterdir() if run.is_dir() and run != current]
    for run in sorted(runs, key=lambda run: run.stat().st_mtime_ns, reverse=True)[RUNS - 1 :]:
        shutil.rmtree(run)
    for reply in sorted(current.glob("round-*.safetensors"))[:-ROUNDS]:
        reply.unlink()
    for leftover in current.glob("*.partial"):
        leftover.unlink()


def _header(run_id: str, round_number: int, start: str, finished: Finished) -> dict[str, Any]:
    """What a stored reply says of itself, sealed; names in order, because safetensors sorts them."""
    header = {
        "run_id": run_id,
        "round": round_number,
        "start": start,
        "names": list(finished.delta.arrays),
        "digest": finished.delta.digest(),
        "released": dict(finished.released),
    }
    return header | {"seal": hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()}
