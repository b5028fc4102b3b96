"""The state folder of a server: the paths in it, and whether to start a run or resume one."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server.checkpoint import Checkpoint
from server.history import from_row
from server.rounds import Round
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import RunError
from shared.ops.disk import commit_file

REPORT = "report.json"


@dataclass(frozen=True)
class StateFolder:
    """The folder that ``--state`` names."""

    root: Path

    @property
    def run(self) -> Path:
        """Return the folder of the current or last run: its checkpoint, log, adapter and report."""
        return self.root / "run"

    @property
    def checkpoint(self) -> Path:
        """Return the folder of the last committed round."""
        return self.run / "checkpoint"

    @property
    def attempts(self) -> Path:
        """Return the file that lists which sites the server asked in each attempt at a round."""
        return self.run / "attempts.json"

    @property
    def signing_key(self) -> Path:
        """Return the file of the key that signs privacy cards: the same for all runs, so that its public key is known."""
        return self.root / "signing_key.pem"

    @property
    def heads(self) -> Path:
        """Return the file of the chain head of each site's ledger, as the server last saw it in any run."""
        return self.root / "ledger_heads.json"

    @property
    def status(self) -> Path:
        """Return the file that ``hushtune status`` reads."""
        return self.root / "status.json"


@dataclass(frozen=True)
class Beginning:
    """Where a run starts or resumes.

    ``forked`` is the adapter that the run was forked from, and ``committed`` that of the last committed round, if there is
    one. ``rounds`` are all attempts so far, the last one committed. ``finished`` says that the report is written.
    """

    run_id: str
    forked: AdapterState | None = field(default=None, repr=False)
    committed: AdapterState | None = field(default=None, repr=False)
    rounds: Sequence[Round] = field(default=(), repr=False)
    finished: bool = False

    @property
    def last(self) -> Round | None:
        """Return the last committed round, or None."""
        return next((done for done in reversed(self.rounds) if done.committed), None)

    @property
    def first(self) -> int:
        """Return the number of the next round."""
        return self.last.number + 1 if self.last else 1


def begin(folder: StateFolder, config: RunConfig, fork: bool) -> Beginning:
    """Resume the folder's run, or start one.

    Parameters
    ----------
    folder
        The server's state.
    config
        The run to start; if it is the folder's run, that one is resumed.
    fork
        Whether a run of another config may start from the adapter that is in the folder. Only the adapter is taken over, not
        the state of the old run's aggregation.

    Returns
    -------
    Beginning
        Where the run starts.

    Raises
    ------
    RunError
        The folder holds an unfinished run of another config, or a damaged one; or the run would start from two adapters.
    """
    state = _read_state(folder)
    found = Checkpoint.load(folder.checkpoint)
    finished = (folder.run / REPORT).is_file()
    if state is None and (found is not None or finished):
        raise RunError(
            f"{folder.run / 'state.json'}: is missing, and the folder holds the rounds of a run; restore the file from a "
            f"backup, or move {folder.run} away to start a new run"
        )
    if state is None:
        return _start(folder, config, None)
    if found is not None and found.run_id != state["run_id"]:
        raise RunError(
            f"{folder.checkpoint}: holds the rounds of run {found.run_id}, and state.json names run {state['run_id']}; "
            "restore the folder from one backup"
        )
    if state["config_digest"] == config.digest():
        rounds = _rounds(found, folder.checkpoint) if found else []
        return Beginning(str(state["run_id"]), _forked_from(folder), found.adapter if found else None, rounds, finished)
    if found is not None and not fork and not finished:  # nothing is lost where no round was committed
        raise RunError(
            f"{folder.run}: holds the unfinished run '{state['name']}' of another config; start with that config, or with "
            "--fork NAME to begin a new run from its adapter"
        )
    if found is not None and fork and config.model.warm_start is not None:
        raise RunError(
            f"{folder.run}: a fork starts from the adapter of the run there, which was not trained on public text only; "
            "remove model.warm_start from the config, or start the run without --fork in another --state"
        )
    folder.run.rename(folder.root / f"run-{state['run_id']}")
    return _start(folder, config, found.adapter if found and fork else None)


def _rounds(found: Checkpoint, folder: Path) -> list[Round]:
    """Rebuild the rounds so far.

    Only the last committed round and the best one get their own adapters, because no other is read again. The aggregation's
    state is that of the last one.
    """
    kept = found.best
    best = kept.round if kept else None
    try:
        rounds = [
            from_row(
                row, kept.adapter if kept and row["committed"] and row["number"] == best else found.adapter, found.memory
            )
            for row in found.rounds
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{folder}: a row of a round has another form; restore the folder from a backup") from error
    if [done.number for done in rounds if done.committed][-1:] != [found.round]:
        raise RunError(f"{folder}: its rows do not end with the committed round; restore the folder from a backup")
    return rounds


def _start(folder: StateFolder, config: RunConfig, adapter: AdapterState | None) -> Beginning:
    """Start a run; its id is on disk before any site can see it."""
    folder.run.mkdir(parents=True, exist_ok=True)
    if adapter is not None:
        adapter.save(folder.run / "forked.partial")
        commit_file(folder.run / "forked.partial", folder.run / "forked.safetensors")
    run_id = secrets.token_hex(8)
    state = {"run_id": run_id, "config_digest": config.digest(), "name": config.run.name}
    partial = folder.run / "state.json.partial"
    partial.write_text(json.dumps(state), encoding="utf-8")
    commit_file(partial, folder.run / "state.json")
    return Beginning(run_id, adapter)


def _forked_from(folder: StateFolder) -> AdapterState | None:
    path = folder.run / "forked.safetensors"
    return AdapterState.load(path) if path.is_file() else None


def _read_state(folder: StateFolder) -> dict[str, Any] | None:
    path = folder.run / "state.json"
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = state["run_id"], state["config_digest"], state["name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: damaged ({type(error).__name__}); restore the folder from a backup") from error
    return state
