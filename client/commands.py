"""The commands of a data steward; heavy imports wait inside them."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

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
