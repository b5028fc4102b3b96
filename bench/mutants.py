"""Seeded faults: each goes into a copy of the code, and the unit test that is named for it must fail there.

A test that cannot be collected, or stops at a name that does not exist, has caught nothing: it would stop at any typing
error. So each fault must be valid Python, and the test must fail on what it claims. First the named tests run on a copy
without a fault, where all must pass. ``bench/mutants.toml`` has the faults; ``docs/mutants.md`` is written from it when
all are caught.
"""

import argparse
import ast
import queue
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.outcome import Outcome
from bench.trial import Laboratory
from shared.errors import HushtuneError, RunError

REPOSITORY = Path(__file__).parents[1]
DATA = REPOSITORY / "bench" / "mutants.toml"
TABLE = REPOSITORY / "docs" / "mutants.md"
AT_ONCE = 2
HEAD = """\
# Seeded faults

`make mutants` puts each of these {count} faults into a copy of the code, one at a time, and runs the unit test beside it,
which must fail there because of what it claims, and pass on the code as it is. The command writes this page when all are
caught; the exact lines are in `bench/mutants.toml`. The tests are below `tests/unit/`.

| Fault | Where | Caught by |
|---|---|---|
"""
Text = Annotated[str, Field(min_length=1)]
Verdict = Literal["caught", "survived", "broken", "too slow"]


class Mutant(BaseModel):
    """One fault: what it does to whom, the text that it changes, and the tests that must fail on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text
    fault: Text
    file: Text
    old: Text
    new: str
    tests: Annotated[tuple[Text, ...], Field(min_length=1)]


def load(path: Path = DATA) -> tuple[Mutant, ...]:
    """Return the faults of a data file, in its order.

    Raises
    ------
    RunError
        The file does not hold faults of the agreed form.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        return tuple(Mutant(name=name, **fields) for name, fields in found.items())
    except (OSError, tomllib.TOMLDecodeError, ValidationError, TypeError) as error:
        what = str(error).splitlines()[0]
        raise RunError(f"{path}: no list of faults ({what}); give each fault, file, old, new and tests") from error


def mutated(mutant: Mutant, source: str) -> str:
    """Return the source of the fault's file with the fault in it.

    Raises
    ------
    RunError
        The old text does not occur exactly once, or the new text changes nothing or is no Python.
    """
    where = f"{mutant.file}: fault {mutant.name}"
    times = source.count(mutant.old)
    if times != 1:
        raise RunError(f"{where}: its old text occurs {times} times instead of once; bring bench/mutants.toml up to date")
    changed = source.replace(mutant.old, mutant.new)
    try:
        same = ast.dump(ast.parse(source)) == ast.dump(ast.parse(changed))
    except SyntaxError as error:
        raise RunError(f"{where}: with its new text the file is no Python, which any test would notice; mend it") from error
    if same:
        raise RunError(f"{where}: its new text means the same as the old one; mend it")
    return changed


def table(mutants: Sequence[Mutant]) -> str:
    """Return the page of all faults with the tests that catch them, in Markdown."""
    tests = ["<br>".join(f"`{test.removeprefix('tests/unit/')}`" for test in mutant.tests) for mutant in mutants]
    rows = [f"| {m.fault} | `{m.file}` | {named} |" for m, named in zip(mutants, tests, strict=True)]
    return HEAD.format(count=len(mutants)) + "".join(f"{row}\n" for row in rows)


class Copy:
    """A copy of a repository's files, in which one fault after another is tried."""

    def __init__(self, repository: Path, folder: Path) -> None:
        self.folder = folder
        command = ["git", "-C", str(repository), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
        if listed.returncode:
            raise RunError(f"{repository}: is no git repository, so nobody can say which files are the code; clone it")
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (repository / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(repository / name, folder / name)

    def judge(self, mutant: Mutant, laboratory: Laboratory) -> Verdict:
        """Return what the fault's tests make of it; the copy is as before afterwards."""
        path = self.folder / mutant.file
        if not path.is_file():
            raise RunError(f"{mutant.file}: fault {mutant.name}: there is no such file; bring bench/mutants.toml up to date")
        source = path.read_text(encoding="utf-8")
        path.write_text(mutated(mutant, source), encoding="utf-8")
        try:
            found = laboratory.run(self.folder, mutant.tests)
        finally:
            path.write_text(source, encoding="utf-8")
        return "too slow" if found is None else verdict(mutant.tests, found)


def verdict(tests: Iterable[str], found: Mapping[str, Outcome]) -> Verdict:
    """Return "caught" where every named test failed on a claim of its own, else what is wrong."""
    ended = {found.get(test, "broken") for test in tests}
    return "caught" if ended == {"failed"} else "broken" if "broken" in ended else "survived"


def refuse_failing(copy: Copy, mutants: Sequence[Mutant], laboratory: Laboratory) -> None:
    """Refuse to go on while a named test does not pass on the code without a fault.

    Raises
    ------
    RunError
        A test does not pass there, so its failing on a fault would say nothing.
    """
    named = list(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
    found = laboratory.run(copy.folder, named) or {}
    bad = [test for test in named if found.get(test) != "passed"]
    if bad:
        raise RunError(f"{bad[0]}: does not pass on the code without a fault ({len(bad)} such tests); mend that first")


def judged(
    mutants: Sequence[Mutant], repository: Path, laboratory: Laboratory, at_once: int = AT_ONCE
) -> Iterator[tuple[Mutant, Verdict, float]]:
    """Yield each fault with its verdict and the seconds that it took, in order; some are tried at the same time.

    Raises
    ------
    RunError
        A fault does not fit the code any more, or a named test does not pass without one.
    """
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(at_once) as pool:
        free: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for number in range(at_once):
            free.put(Copy(repository, Path(scratch) / str(number)))

        def tried(mutant: Mutant) -> tuple[Mutant, Verdict, float]:
            copy, start = free.get(), time.monotonic()
            try:
                return mutant, copy.judge(mutant, laboratory), time.monotonic() - start
            finally:
                free.put(copy)

        copy = free.get()
        refuse_failing(copy, mutants, laboratory)
        free.put(copy)
        yield from pool.map(tried, mutants)


def main() -> None:
    """Try all faults, or the named ones; write the page when all are caught, and fail when one is not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", nargs="*", help="a fault of bench/mutants.toml; all without one")
    wanted = set(parser.parse_args().name)
    every = load()
    if unknown := wanted - {mutant.name for mutant in every}:
        raise RunError(f"{min(unknown)}: no such fault; bench/mutants.toml has the names")
    chosen = [mutant for mutant in every if not wanted or mutant.name in wanted]
    start, missed = time.monotonic(), 0
    for mutant, said, seconds in judged(chosen, REPOSITORY, Laboratory()):
        missed += said != "caught"
        print(f"{said:9} {seconds:5.1f} s  {mutant.name}: {mutant.fault}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} faults caught in {time.monotonic() - start:.0f} s")
    if missed:
        raise RunError(f"{missed} faults were not caught by the tests that are named for them; write or name better tests")
    if not wanted:
        TABLE.write_text(table(every), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except HushtuneError as error:
        sys.exit(f"mutants: {error}")
