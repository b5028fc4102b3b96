"""Start worker processes as forks of one process that has imported the libraries, which takes each of them seconds.

Each worker still has its own memory, gets its work through a pipe and can be killed. The tests that start workers as the
product does need no module of ours.
"""

import multiprocessing
import os
from multiprocessing.context import ForkServerContext, ForkServerProcess

LIBRARIES = [
    "privacy.anonymise.polyglot",
    "simulations.fleets.workers",
    "transformers.models.bert.modeling_bert",
]


class Fork(ForkServerProcess):
    """A process with the environment that its parent has when it starts, as a spawned one."""

    def start(self) -> None:
        """Start the process."""
        self._environment = dict(os.environ)
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
    multiprocessing.get_context("forkserver").set_forkserver_preload(LIBRARIES)
    return Forks()
