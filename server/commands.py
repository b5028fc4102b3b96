"""The commands of an operator, and of whoever gets what a server published; heavy imports wait inside the commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shared.printing import Json, Overrides, RunFile, load, show

if TYPE_CHECKING:
    from shared.flaws import Flaw

app = typer.Typer()
provision = typer.Typer()
card = typer.Typer(name="card", help="The signed privacy card of a finished run.", no_args_is_help=True)

Run = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")]


@app.command()
def server(
    config: RunFile,
    state: Annotated[Path, typer.Option(metavar="DIR", help="Folder of certificate, sites' keys and the run's state.")],
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Public address, for sites.")] = "0.0.0.0:8443",
    health: Annotated[str, typer.Option(metavar="HOST:PORT", help="Address of the gRPC health service.")] = "127.0.0.1:8444",
    insecure: Annotated[bool, typer.Option("--insecure", help="No TLS; listens on loopback alone.")] = False,
    fork: Annotated[
        str | None, typer.Option(metavar="NAME", help="Begin run NAME of another config from the adapter that is there.")
    ] = None,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Coordinate a federation of real sites; started again, it goes on where it was."""
    run = load(config, [*(overrides or []), *([f"run.name={fork}"] if fork else [])])
    from server.app import serve
    from server.display import server_tables
    from server.listening import Listening
    from server.state import StateFolder
    from shared.ending import end_on_sigterm

    end_on_sigterm()
    folder, report = serve(run, StateFolder(state), Listening(listen, health, insecure), fork is not None)
    show(report, json, lambda: server_tables(report, str(folder)))


@provision.command("server")
def provision_server(
    host: Annotated[
        list[str], typer.Option(metavar="NAME", help="Name or IP address that sites connect to; repeat it for several.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The server's state folder; what is there already is kept.")],
    site: Annotated[list[str] | None, typer.Option(metavar="ID", help="A site to make a folder for; repeat it.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The server's public port.")] = 8443,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long the server's certificate is valid.")] = 365,
) -> None:
    """Make an authority, the server's certificate, and one folder a site to hand over."""
    from server.provision import ServerFolder, provision_server

    folder = ServerFolder(out)
    for path in provision_server(folder, host, port, site or [], days):
        typer.echo(f"made {path}")
    typer.echo(f"public keys of sites go to {folder.allow_list} as SITE.pub; keep {folder.authority_key} off this machine")


def check(folder: Path) -> "list[Flaw] | None":
    """What is wrong with a server's folder; None when it is no such one."""
    from server.provision import check_server

    return check_server(folder)


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
