"""Define the options that several commands share, and print the result of a command."""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from shared.config.run import RunConfig

RunFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The run's TOML file, such as configs/demo.toml.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one field, as section.key=value.")
]
LogJson = Annotated[
    bool, typer.Option("--log-json", help="Say each event as a JSON object on standard error instead of a line.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of tables.")]


def load(config: Path, overrides: list[str] | None) -> "RunConfig":
    """Read a run's config file and apply the overrides of the command line.

    Raises
    ------
    ConfigError
        The file or an override cannot be used.
    """
    from shared.config.run import RunConfig

    return RunConfig.load(config, overrides or [])


def show(data: Any, as_json: bool, tables: "Callable[[], Iterable[RenderableType]]") -> None:
    """Print a result as JSON or as tables.

    Parameters
    ----------
    data
        The result, as plain values for JSON.
    as_json
        Whether to print JSON.
    tables
        Function that makes the tables; called only if they are printed.
    """
    if as_json:
        typer.echo(json.dumps(data, indent=2))
        return
    from shared.ops.terminal import Terminal

    Terminal(width=None if sys.stdout.isatty() else 120).show(tables())
