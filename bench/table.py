"""Run a benchmark from the command line: parse its arguments, print its rows, and end in one sentence on an error."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from shared.errors import HushtuneError
from shared.ops.numbers import epsilon_up


def parser_of(doc: str | None, *, config: bool = False, as_json: bool = False) -> argparse.ArgumentParser:
    """Return the parser of a benchmark's command line, described by the first line of its docstring.

    Parameters
    ----------
    doc
        The docstring of the benchmark's module.
    config
        Whether the benchmark takes a run's TOML file and changes of it.
    as_json
        Whether it can print JSON.
    """
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    if config:
        parser.add_argument("config", type=Path, help="the run's TOML file")
        parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one field of it")
    if as_json:
        parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def run_bench(main: Callable[[], None]) -> None:
    """Run the main function of a benchmark; an error of ours ends the process with its sentence and status 1."""
    try:
        main()
    except HushtuneError as error:
        sys.exit(f"{Path(sys.argv[0]).stem}: {error}")


def print_rows(rows: Sequence[Mapping[str, Any]], as_json: bool, width: int = 160) -> None:
    """Print rows that all have the same columns.

    Parameters
    ----------
    rows
        At least one row; an interval is a mapping with ``value``, ``low`` and ``high``.
    as_json
        Whether to print JSON instead of a table.
    width
        Width of the table, in characters.
    """
    if as_json:
        sys.stdout.write(json.dumps(list(rows), indent=2) + "\n")
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    Console(width=width).print(table)


def _cell(name: str, value: Any) -> str:
    if name == "epsilon":
        return epsilon_up(value)
    if isinstance(value, Mapping):
        return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
