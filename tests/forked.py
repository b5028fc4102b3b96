"""Start processes as forks of one process that has imported the libraries, which takes each of them seconds.

Each process still has its own memory, files and sockets, and can be killed. The tests that start processes as the product
does need no module of ours.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TESTS = Path(__file__).parent
SERVER = forkserver.ForkServer()  # one of our own: bench.trial fills that of the standard library with other libraries
SERVER.set_forkserver_preload(["warm"])
SETTINGS = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "FLWR_TELEMETRY_ENABLED": "0", "OMP_NUM_THREADS": "1"}


class Fork(ForkServerProcess):
    """A process with the environment that its parent has when it starts, as a spawned one."""

    def start(self) -> None:
        """Start the process, and before the first one also the server."""
        self._environment = dict(os.environ)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in SETTINGS.items():  # some libraries read them when they are imported
                patch.setenv(name, value)
            patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (TESTS.parent, TESTS))))
            patch.setattr(forkserver, "connect_to_new_process", SERVER.connect_to_new_process)
            patch.setitem(sys.modules, "__main__", ModuleType("__main__"))  # else the process would import it again
            super().start()

    def run(self) -> None:
        """Run the target; this method runs in the new process."""
        os.environ.clear()
        os.environ.update(self._environment)
        super().run()


class Forks(ForkServerContext):
    """A context whose processes are forks of one server, which ends with this process."""

    Process = Fork  # type: ignore[assignment]


def forks(_: str) -> Forks:
    """Return the context, in the place of ``multiprocessing.get_context``."""
    return Forks()


def start_command(arguments: Sequence[str | Path], log: Path, given: Mapping[str, str]) -> Fork:
    """Start ``hushtune ARGUMENTS`` with more environment variables; what the command prints goes to a file."""
    return _started(_command, log, [str(each) for each in arguments], {**SETTINGS, **given})


def start_code(statements: str, folder: Path, log: Path) -> Fork:
    """Start Python statements in a folder; what they print goes to a file."""
    return _started(_code, log, statements, folder)


def _started(target: Callable[..., None], log: Path, *arguments: Any) -> Fork:
    log.touch()  # whoever waits for the process may read its log at once
    process = Fork(target=target, args=(log, *arguments))
    process.start()
    return process


def _command(log: Path, arguments: Sequence[str], given: Mapping[str, str]) -> None:
    _print_to(log)
    os.environ.update(given)
    if "MISBEHAVE" in given:
        sys.path.append(str(TESTS / "e2e"))
        import_module("misbehave")
    sys.argv = ["hushtune", *arguments]
    import_module("hushtune").main()


def _code(log: Path, statements: str, folder: Path) -> None:
    _print_to(log)
    os.chdir(folder)
    exec(statements, {"__name__": "__main__"})  # noqa: S102  our own pages


def _print_to(log: Path) -> None:
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
