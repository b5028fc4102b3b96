"""The commands that operators and stewards share, made of what each package knows about its own folders."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shared.errors import ConfigError
from shared.printing import Json, show

if TYPE_CHECKING:
    from shared.flaws import Flaw

Check = Callable[[Path], "list[Flaw] | None"]


def provision(parts: Iterable[typer.Typer], checks: Iterable[Check]) -> typer.Typer:
    """``hushtune provision``: each package's own commands, and ``verify`` over all that they can check."""
    app = typer.Typer(name="provision", help="Make and check keys, certificates and folders.", no_args_is_help=True)
    for part in parts:
        app.add_typer(part)
    known = tuple(checks)

    @app.command()
    def verify(
        folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A server's folder, or a site's.")],
        json: Json = False,
    ) -> None:
        """Check a folder, and say in one line each what is wrong; status 1 if anything is."""
        flaws = _first(check(folder) for check in known)
        if flaws is None:
            raise ConfigError(f"{folder}: neither a server's folder nor a site's; give one that 'hushtune provision' made")
        rows = [{"path": str(f.path), "what": f.what, "remedy": f.remedy, "fatal": f.fatal} for f in flaws]
        show(rows, json, lambda: [str(flaw) for flaw in flaws] or [f"{folder}: in order"])
        if any(flaw.fatal for flaw in flaws):
            raise typer.Exit(1)

    return app


def _first(found: "Iterable[list[Flaw] | None]") -> "list[Flaw] | None":
    return next((flaws for flaws in found if flaws is not None), None)
