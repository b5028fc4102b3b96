"""Define the commands that all roles share: status of a folder, fields of the configuration, checks of a folder."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shared.errors import ConfigError
from shared.ops.printing import Json, show

if TYPE_CHECKING:
    from shared.ops.flaws import Flaw

app = typer.Typer()
Check = Callable[[Path, Callable[[str], None]], "list[Flaw] | None"]


@app.command()
def status(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A server's state folder, or the folder of a site's SITE.toml.")
    ],
    watch: Annotated[bool, typer.Option("--watch", help="Keep the view up to date until Ctrl-C.")] = False,
    json: Json = False,
) -> None:
    """Show what a server or a site is doing: rounds and sites, or connection, budget and refusals."""
    from shared.ops.status import status_file
    from shared.ops.status_view import status_tables
    from shared.ops.status_view import watch as keep_watching

    file = status_file(folder)
    if watch and not json:
        with suppress(KeyboardInterrupt):
            keep_watching(file)
        return
    seen = file.read()
    facts = {"pid": seen.pid, "running": seen.running, "age": round(seen.age, 1)}
    show(facts | seen.status.model_dump(mode="json"), json, lambda: status_tables(seen))


@app.command()
def config(
    field: Annotated[
        str | None, typer.Argument(metavar="FIELD", help="A field such as training.steps, or a section; all without it.")
    ] = None,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, as in the documentation.")] = False,
    json: Json = False,
) -> None:
    """Print the fields of a run's configuration: type, range, default and what each does."""
    from dataclasses import asdict

    from shared.config.reference import chosen_rows, markdown
    from shared.ops.config_view import field_tables

    rows = chosen_rows(field)
    if as_markdown:
        typer.echo(markdown(rows), nl=False)
        return
    show([asdict(row) for row in rows], json, lambda: field_tables(rows))


def verification(check: Check, name: str = "verify") -> typer.Typer:
    """Return the command ``hushtune provision verify``, or the same as ``hushtune doctor``, a name that people look for.

    Parameters
    ----------
    check
        Returns a folder's flaws, or None for a folder of nobody's. Its second argument is called with a line for each thing
        that is as it should be.
    name
        Name of the command.
    """
    app = typer.Typer()

    @app.command(name)
    def verify(
        folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A server's folder, or a site's.")],
        json: Json = False,
    ) -> None:
        """Check a folder, the head of its records, its models, disk, memory and server; status 1 if a flaw is fatal."""
        seen: list[str] = []
        flaws = check(folder, seen.append)
        if flaws is None:
            raise ConfigError(f"{folder}: neither a server's folder nor a site's; give one that 'hushtune provision' made")
        rows = [{"path": str(f.path), "what": f.what, "remedy": f.remedy, "fatal": f.fatal} for f in flaws]
        show(rows, json, lambda: seen + ([str(flaw) for flaw in flaws] or [f"{folder}: in order"]))
        if any(flaw.fatal for flaw in flaws):
            raise typer.Exit(1)

    return app
