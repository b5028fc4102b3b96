"""The commands of a data steward: what each takes and which module does it; heavy imports wait inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

from shared.printing import Json, show

ledger = typer.Typer(name="ledger", help="A site's budget book: what its records have spent.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="LEDGER", help="The ledger's folder, which holds ledger.jsonl.")]
Delta = Annotated[
    float | None, typer.Option("--delta", help="Delta at which epsilon is told; the smallest of the entries without it.")
]


@ledger.command("show")
def show_ledger(folder: Folder, delta: Delta = None, json: Json = False) -> None:
    """Print what was reserved for which records, and what they have spent in all."""
    from client.display import ledger_tables
    from client.statement import statement

    found = statement(folder, delta)
    show(found, json, lambda: ledger_tables(found))


@ledger.command("verify")
def verify_ledger(
    folder: Folder,
    against: Annotated[
        Path | None, typer.Option(help="A run's folder or report.json: the heads that the server saw must be in the ledger.")
    ] = None,
    json: Json = False,
) -> None:
    """Check every entry, the dataset files, and what the server saw of the ledger; names the first fault."""
    from client.statement import verify

    checked = verify(folder, against)
    show(checked, json, lambda: [f"{folder}: {checked['entries']} entries, whole and in order. Head: {checked['hash']}"])


@ledger.command("export")
def export_ledger(
    folder: Folder,
    output: Annotated[Path, typer.Argument(metavar="FILE", help="The JSON file to write.")],
    delta: Delta = None,
) -> None:
    """Write the mechanism events and epsilons by dataset as JSON: enough to recompute them, and nothing about records."""
    import json

    from client.statement import statement

    output.write_text(json.dumps(statement(folder, delta), indent=2) + "\n", encoding="utf-8")
    typer.echo(f"{output}: written")
