"""Start worker processes on this machine and talk to them over pipes that no other process can open."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import ModuleType
from typing import Any, Self, TypeVar

from shared.errors import HushtuneError, RunError

T = TypeVar("T")


@dataclass(frozen=True)
class Broken:
    """The message of a worker that cannot continue: one sentence without any text of a record."""

    message: str

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Return the message of one of our own errors, and only the class of any other, whose message may quote a text."""
        return cls(str(error) if isinstance(error, HushtuneError) else type(error).__name__)


@dataclass(frozen=True)
class Worker:
    """A process and our end of its pipe."""

    process: SpawnProcess
    pipe: Connection

    def exchange(self, step: Callable[[], T], who: str, remedy: str) -> T:
        """Send or receive over the pipe.

        Parameters
        ----------
        step
            Sends or receives, and returns what came.
        who, remedy
            What the process is, and what follows if it has died, with what to do; for the message of the error.

        Raises
        ------
        RunError
            The process has died.
        """
        try:
            return step()
        except (EOFError, OSError):
            self.process.join(5)
            raise RunError(f"{who} died (exit status {self.process.exitcode}), so {remedy}") from None

    def end(self) -> None:
        """Close the pipe and end the process."""
        self.pipe.close()
        self.process.terminate()
        self.process.join()


def start(target: Callable[..., None], *arguments: Any, environment: Mapping[str, str] | None = None) -> Worker:
    """Start a process that runs a function with its end of a new pipe and the arguments.

    Processes are spawned, because a fork is not safe with the threads of torch.

    Parameters
    ----------
    target
        A function of a module; it should end when its pipe is closed.
    arguments
        Its arguments after the pipe.
    environment
        Environment variables that differ in the new process.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
    with _main_hidden(), _changed(environment or {}):
        process.start()
    theirs.close()  # otherwise reading from a dead worker's pipe would wait forever
    return Worker(process, ours)


def answer(pipe: Connection, build: Callable[[], Callable[[Any], Any]]) -> None:
    """Answer what comes over a pipe until the pipe closes; this function runs in a worker process.

    Parameters
    ----------
    pipe
        The worker's end.
    build
        Makes what answers one message. An error in either sends a `Broken` and ends the worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent receives it too, and ends its workers
    try:
        answer_one = build()
        while True:
            pipe.send(answer_one(pipe.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:
        pipe.send(Broken.of(error))


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Keep the main module from a process that is about to start.

    A spawned process imports the main module again by default. A script that calls `simulate` without
    ``if __name__ == "__main__":`` would then run once more in every worker, and our workers need nothing of it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _changed(environment: Mapping[str, str]) -> Iterator[None]:
    """Change variables of this process' environment inside the block, which a process that starts there inherits."""
    before = {name: os.environ.get(name) for name in environment}
    try:
        os.environ.update(environment)
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
