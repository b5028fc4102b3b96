"""Run tests of a copy of the code in a separate process that already has the libraries loaded.

Importing torch and similar libraries takes several times as long as most tests. A server process imports them once, and each
trial is a fork of it, which imports our own modules from the copy.
"""

import multiprocessing
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.outcome import Outcome, outcomes

LIMIT = 300.0  # seconds; a test that hangs has not caught the fault
LIBRARIES = (
    "pytest",
    "hypothesis",
    "scipy.stats",
    "torch",
    "transformers.models.bert.modeling_bert",
    "transformers.models.llama.modeling_llama",
    "peft",
    "opacus",
    "dp_accounting.pld.privacy_loss_distribution",
    "dp_accounting.rdp",
    "datasets",
    "presidio_analyzer",
)


class Laboratory:
    """A runner of tests; ``libraries`` are imported once, before the first test."""

    def __init__(self, libraries: Sequence[str] = LIBRARIES) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch reads it at import
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(libraries))

    def run(self, folder: Path, tests: Iterable[str]) -> Mapping[str, Outcome] | None:
        """Return the outcome of each test of a copy; None if they took longer than ``LIMIT``."""
        report = folder / "outcomes.xml"
        report.unlink(missing_ok=True)
        process = self._context.Process(target=_run, args=(folder, tuple(tests), report))
        process.start()
        process.join(LIMIT)
        if process.exitcode is None:
            process.kill()
            process.join()
            return None
        return outcomes(report)


def _run(folder: Path, tests: Sequence[str], report: Path) -> None:
    """Run tests in ``folder`` with the modules of this folder, and write pytest's report."""
    ours = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/*.py")}
    for name in [name for name in sys.modules if name.partition(".")[0] in ours]:
        del sys.modules[name]
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True  # a cached .pyc could hide a fault of the same length written in the same second
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    import pytest

    options = ["-q", f"--rootdir={folder}", "-p", "bench.determined", "-p", "no:cacheprovider", f"--junitxml={report}"]
    pytest.main([*options, *tests])
    files = (getattr(sys.modules.get(name), "__file__", None) for name in ours)
    if any(file and folder not in Path(file).parents for file in files):
        report.unlink(missing_ok=True)  # the tests imported our modules from elsewhere, so their outcomes do not count
