"""The commands of an operator; heavy imports wait inside them."""

from pathlib import Path
from typing import Annotated

import typer

from shared.printing import Json, Overrides, RunFile, load, show

app = typer.Typer()


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
