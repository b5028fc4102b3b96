"""The commands of whoever runs a server, or gets what it published; heavy imports wait inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

from shared.printing import Json, show

card = typer.Typer(name="card", help="The signed privacy card of a finished run.", no_args_is_help=True)

Run = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")]


@card.command("show")
def show_card(run: Run, json: Json = False) -> None:
    """Print the privacy card of a run."""
    from server.display import card_page
    from server.report.signed import SignedCard

    signed = SignedCard.load(run)
    show(signed.card, json, lambda: card_page(signed))


@card.command()
def verify(
    run: Run,
    key: Annotated[
        str | None,
        typer.Option(metavar="PUB", help="The signer's public key, got in another way: 64 hex digits, or their file."),
    ] = None,
) -> None:
    """Check signature, adapter, epsilon and ledger heads of a run's privacy card; say in one line what fails."""
    from server.display import verified_line
    from server.report.verification import read_public_key, verify

    typer.echo(verified_line(verify(run, read_public_key(key) if key else None)))
