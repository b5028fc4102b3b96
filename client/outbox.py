"""Store finished replies by run and round, so that a site that lost its connection sends again and never trains twice."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from shared.adapters.state import AdapterState
from shared.errors import MessageError, RunError
from shared.ops.disk import commit_file
from shared.wire.messages import VECTOR
from shared.wire.white_list import SHORT_NAME

RUNS, ROUNDS = 4, 3  # number of runs, and of last rounds in each, that are kept


@dataclass(frozen=True)
class Finished:
    """Result of one round: the delta, and the released sums if the plan has them; or one masked vector of a secure sum.

    ``sites`` names the sites with which the delta was added up under masks; empty if it has not left under masks.
    """

    delta: AdapterState
    released: Mapping[str, float] = field(default_factory=dict)
    sites: tuple[str, ...] = ()

    @classmethod
    def masked(cls, vector: npt.NDArray[np.uint32]) -> Self:
        """Return the result of an attempt at a secure sum; the 32 bits of each word are kept as those of a float."""
        return cls(AdapterState({VECTOR: vector.view(np.float32)}))

    @property
    def vector(self) -> npt.NDArray[np.uint32]:
        """Return the masked vector of a secure sum."""
        return self.delta.arrays[VECTOR].view(np.uint32)


class Outbox:
    """A folder with one safetensors file per reply; its header says which order it answers.

    Without a folder, as in a simulation, only the last reply is kept, in memory.

    Sending again costs no privacy, because it is the same reply that the ledger was charged for. Only the newest ``RUNS``
    runs, the last ``ROUNDS`` rounds of each, and the last attempt at each round are kept; a server that keeps its state
    never sends an older order.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._last: tuple[tuple[str, int, str], Finished] | None = None

    def stored(self, run_id: str, round_number: int, start: str) -> Finished | None:
        """Return the stored result of a round, bit for bit; None if there is none.

        Parameters
        ----------
        run_id
            Id of the run.
        round_number
            Number of the round, from 1.
        start
            Digest of the adapter from which the round starts, or of the order for a masked vector.

        Raises
        ------
        MessageError
            The run's id is not a short name, or the round was answered for another adapter or another list of sites.
        RunError
            The stored reply is damaged; the round is not trained again, because its privacy is spent.
        """
        if self._folder is None:
            return self._last[1] if self._last and self._last[0] == (run_id, round_number, start) else None
        path = _path(self._folder, run_id, round_number)
        if not path.is_file():
            return None
        finished, kept_start = _read(path, run_id, round_number)
        if kept_start != start:
            raise MessageError(
                f"round {round_number} of run {run_id} was answered for another adapter or another list of sites; start "
                "another attempt at a secure sum, else a new run"
            )
        return finished

    def store(self, run_id: str, round_number: int, start: str, finished: Finished) -> None:
        """Store the result of a round, on disk before this returns, and delete replies that are too old to be asked for.

        Parameters
        ----------
        run_id
            Id of the run.
        round_number
            Number of the round, from 1.
        start
            Digest of the adapter from which the round started, or of the order for a masked vector.
        finished
            The result.

        Raises
        ------
        MessageError
            The run's id is not a short name.
        OSError
            The disk is full or cannot be written.
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
        raise MessageError("outbox: the run's id is not a short name (letters, digits and . + _ -), so it is refused")
    return folder / run_id / f"round-{round_number:06d}.safetensors"


def _read(path: Path, run_id: str, round_number: int) -> tuple[Finished, str]:
    """Return a stored result, and the digest of the adapter from which it started."""
    try:
        with safe_open(path, framework="numpy") as stream:
            header = json.loads(stream.metadata()["reply"])
            delta = AdapterState({name: stream.get_tensor(name) for name in header["names"]})
        finished = Finished(delta, header["released"], tuple(header.get("sites", ())))
        intact = header == _header(run_id, round_number, header["start"], finished)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        intact = False
    if not intact:
        raise RunError(
            f"{path}: the stored reply is damaged; the budget of round {round_number} stays spent, and the site skips this "
            "round"
        )
    return finished, str(header["start"])


def _drop_old(current: Path) -> None:
    """Keep the current run, the newest other runs, and the last rounds of the current run; delete the rest."""
    runs = [run for run in current.parent.iterdir() if run.is_dir() and run != current]
    for run in sorted(runs, key=lambda run: run.stat().st_mtime_ns, reverse=True)[RUNS - 1 :]:
        shutil.rmtree(run)
    for reply in sorted(current.glob("round-*.safetensors"))[:-ROUNDS]:
        reply.unlink()
    for leftover in current.glob("*.partial"):
        leftover.unlink()


def _header(run_id: str, round_number: int, start: str, finished: Finished) -> dict[str, Any]:
    """Return the header of a stored reply with its checksum; it lists names in order, because safetensors sorts them."""
    header = {
        "run_id": run_id,
        "round": round_number,
        "start": start,
        "names": list(finished.delta.arrays),
        "digest": finished.delta.digest(),
        "released": dict(finished.released),
        **({"sites": list(finished.sites)} if finished.sites else {}),
    }
    return header | {"seal": hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()}
