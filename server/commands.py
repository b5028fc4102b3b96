"""The commands of an operator: what each takes and which module does it; heavy imports wait inside the commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from shared.flaws import Flaw

provision = typer.Typer()


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
