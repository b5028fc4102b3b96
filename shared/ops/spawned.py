"""Start worker processes, each with a pipe to this process, and end them."""

import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Worker:
    """A process and our end of its pipe."""

    process: SpawnProcess
    pipe: Connection

    def stop(self) -> None:
        """End the process now, whatever it does."""
        self.pipe.close()
        self.process.kill()
        self.process.join()


def spawn(target: Callable[..., None], *given: Any) -> Worker:
    """Start a process that runs ``target(pipe, *given)``; it ends with this process at the latest.

    Processes are spawned, because a fork is not safe with the threads of torch.

    Parameters
    ----------
    target
        A function of a module; it gets the worker's end of the pipe first.
    given
        Further arguments of ``target``.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs, *given), daemon=True)
    with _main_hidden():
        process.start()
    theirs.close()  # otherwise reading from a dead worker's pipe would wait forever
    return Worker(process, ours)


def ignore_interrupts() -> None:
    """Let a worker process ignore Ctrl-C: the process that started it gets it too, and ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def stop_all(workers: Iterable[Worker]) -> None:
    """End all of these workers."""
    for worker in workers:
        worker.stop()


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
