"""The commands of a data steward: what each takes and which module does it; heavy imports wait inside the commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from shared.flaws import Flaw

app = typer.Typer()
provision = typer.Typer()

SiteToml = Annotated[Path, typer.Argument(metavar="SITE.toml", help="The site's own file: identity, server, data, policy.")]


@app.command()
def client(
    site: SiteToml,
    once: Annotated[bool, typer.Option("--once", help="End when a run is over.")] = False,
    insecure: Annotated[bool, typer.Option("--insecure", help="No TLS, for a trial on this machine alone.")] = False,
) -> None:
    """Serve a site: train on its records when the server asks and the site's policy permits."""
    from client.sitefile import SiteFile

    file = SiteFile.load(site)
    from client.service import run_site
    from shared.ending import end_on_sigterm

    end_on_sigterm()
    run_site(file, once, insecure)


@provision.command("site")
def provision_site(
    folder: Annotated[Path, typer.Argument(metavar="SITE_FOLDER", help="The folder with SITE.toml, at the site.")],
) -> None:
    """Make this site's key, at the site; the private half never leaves it."""
    from client.provision import provision_site

    key = provision_site(folder)
    typer.echo(f"{'made the key of' if key.made else 'kept the key of'} site {key.site_id}: {key.fingerprint}")
    typer.echo(f"hand {key.public} to the operator, and compare the fingerprint over the telephone")


def check(folder: Path) -> "list[Flaw] | None":
    """What is wrong with a site's folder; None when it is no such one."""
    from client.provision import check_site

    return check_site(folder)
