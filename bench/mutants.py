"""Mutation testing: put one fault at a time into a copy of the code; the unit tests named for it must fail.

A test that cannot be collected, or fails because a name does not exist, has not caught the fault, because any typo would
stop it. So each fault must be valid Python, and a test must fail in its own assertions. First, all named tests must pass on
a copy without a fault. The faults are in ``bench/mutants.toml``; ``docs/mutants.md`` is generated from it when all are
caught.
"""

import ast
import queue
import shutil
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.outcome import Outcome
from bench.table import parser_of, run_bench
from bench.trial import Laboratory
from shared.errors import RunError

REPOSITORY = Path(__file__).parents[1]
DATA = REPOSITORY / "bench" / "mutants.toml"
TABLE = REPOSITORY / "docs" / "mutants.md"
AT_ONCE = 2
HEAD = """\
# Seeded faults

`make mutants` puts each of these {count} faults into a copy of the code, one at a time, and runs the unit test in the last
column. The test must fail in one of its assertions, and must pass on the unchanged code. The command writes this page when
all faults are caught; the exact lines are in `bench/mutants.toml`. The paths of tests are relative to `tests/unit/`.

| Fault | Where | Caught by |
|---|---|---|
"""
Text = Annotated[str, Field(min_length=1)]
Verdict = Literal["caught", "survived", "broken", "too slow"]


class Mutant(BaseModel):
    """One fault: its effect in words, the text that it replaces, and the tests that must fail."""

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
        The file cannot be read or is malformed.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        return tuple(Mutant(name=name, **fields) for name, fields in found.items())
    except (OSError, tomllib.TOMLDecodeError, ValidationError, TypeError) as error:
        what = str(error).splitlines()[0]
        raise RunError(f"{path}: not a list of faults ({what}); each entry needs fault, file, old, new and tests") from error


def mutated(mutant: Mutant, source: str) -> str:
    """Return the source of the fault's file with the fault in it.

    Raises
    ------
    RunError
        The old text does not occur exactly once, or the changed source has the same meaning or is not valid Python.
    """
    where = f"{mutant.file}: fault {mutant.name}"
    times = source.count(mutant.old)
    if times != 1:
        raise RunError(f"{where}: its old text occurs {times} times instead of once; update bench/mutants.toml")
    changed = source.replace(mutant.old, mutant.new)
    try:
        same = ast.dump(ast.parse(source)) == ast.dump(ast.parse(changed))
    except SyntaxError as error:
        raise RunError(
            f"{where}: with its new text the file is not valid Python, which any test would notice; correct it"
        ) from error
    if same:
        raise RunError(f"{where}: its new text has the same meaning as the old one; correct it")
    return changed


def table(mutants: Sequence[Mutant]) -> str:
    """Return the Markdown page of all faults and the tests that catch them."""
    tests = ["<br>".join(f"`{test.removeprefix('tests/unit/')}`" for test in mutant.tests) for mutant in mutants]
    rows = [f"| {m.fault} | `{m.file}` | {named} |" for m, named in zip(mutants, tests, strict=True)]
    return HEAD.format(count=len(mutants)) + "".join(f"{row}\n" for row in rows)


class Copy:
    """A copy of a repository's files, into which faults are put one at a time."""

    def __init__(self, repository: Path, folder: Path) -> None:
        self.folder = folder
        command = ["git", "-C", str(repository), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
        if listed.returncode:
            raise RunError(f"{repository}: not a git repository, so the files to copy are not known; run this in a clone")
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (repository / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(repository / name, folder / name)

    def judge(self, mutant: Mutant, laboratory: Laboratory) -> Verdict:
        """Return whether the fault's tests catch it; the copy is restored afterwards."""
        path = self.folder / mutant.file
        if not path.is_file():
            raise RunError(f"{mutant.file}: fault {mutant.name}: no such file; update bench/mutants.toml")
        source = path.read_text(encoding="utf-8")
        path.write_text(mutated(mutant, source), encoding="utf-8")
        try:
            found = laboratory.run(self.folder, mutant.tests)
        finally:
            path.write_text(source, encoding="utf-8")
        return "too slow" if found is None else verdict(mutant.tests, found)


def verdict(tests: Iterable[str], found: Mapping[str, Outcome]) -> Verdict:
    """Return "caught" if every named test failed in its own assertions, otherwise the problem."""
    ended = {found.get(test, "broken") for test in tests}
    return "caught" if ended == {"failed"} else "broken" if "broken" in ended else "survived"


def refuse_failing(copy: Copy, mutants: Sequence[Mutant], laboratory: Laboratory) -> None:
    """Check that every named test passes on the code without a fault.

    Raises
    ------
    RunError
        A test does not pass, so its failure with a fault would prove nothing.
    """
    named = list(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
    found = laboratory.run(copy.folder, named) or {}
    bad = [test for test in named if found.get(test) != "passed"]
    if bad:
        raise RunError(f"{bad[0]}: does not pass on the code without a fault ({len(bad)} such tests); correct that first")


def judged(
    mutants: Sequence[Mutant], repository: Path, laboratory: Laboratory, at_once: int = AT_ONCE
) -> Iterator[tuple[Mutant, Verdict, float]]:
    """Yield each fault with its verdict and the seconds that it took, in order; ``at_once`` faults run in parallel.

    Raises
    ------
    RunError
        A fault's old text is not in the code any more, or a named test does not pass without a fault.
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
    """Try all faults, or the named ones; write the page if all are caught, and fail if one is not."""
    parser = parser_of(__doc__)
    parser.add_argument("name", nargs="*", help="a fault in bench/mutants.toml; default: all")
    wanted = set(parser.parse_args().name)
    every = load()
    if unknown := wanted - {mutant.name for mutant in every}:
        raise RunError(f"{min(unknown)}: no such fault; see bench/mutants.toml for the names")
    chosen = [mutant for mutant in every if not wanted or mutant.name in wanted]
    start, missed = time.monotonic(), 0
    for mutant, said, seconds in judged(chosen, REPOSITORY, Laboratory()):
        missed += said != "caught"
        print(f"{said:9} {seconds:5.1f} s  {mutant.name}: {mutant.fault}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} faults caught in {time.monotonic() - start:.0f} s")
    if missed:
        raise RunError(f"{missed} faults were not caught by their named tests; write or name better tests")
    if not wanted:
        TABLE.write_text(table(every), encoding="utf-8")


if __name__ == "__main__":
    run_bench(main)
