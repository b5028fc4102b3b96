"""The command line: which package has which command, and how a mistake ends."""

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Literal

import shared.commands as both
from shared.errors import HushtuneError, QuorumError
from shared.ops.command_group import CommandGroup, Role
from shared.ops.flaws import Flaw

RESEARCHER = ("simulate", "compare", "sweep", "trainable", "evaluate", "generate")


def command_line() -> CommandGroup:
    """Return the group of all commands; it imports the package of a command when the command is asked for."""
    keys: dict[str, Role] = {
        "server": Role(lambda: _commands("server").provision, "server"),
        **dict.fromkeys(("site", "admit"), Role(lambda: _commands("client").provision, "site")),
        "verify": Role(lambda: both.verification(_flaws)),
    }
    roles: dict[str, Role] = {
        **dict.fromkeys(RESEARCHER, Role(lambda: _commands("simulations").app, "research")),
        **dict.fromkeys(("plan", "models"), Role(lambda: _commands("simulations").app)),
        "anonymise": Role(lambda: _commands("simulations").app, "site"),
        "report": Role(lambda: _commands("simulations").app, "server"),
        **dict.fromkeys(("server", "explain"), Role(lambda: _commands("server").app, "server")),
        "client": Role(lambda: _commands("client").app, "site"),
        "status": Role(lambda: both.app),
        "card": Role(lambda: _commands("server").card, "server"),
        "review": Role(lambda: _commands("server").review, "server"),
        "ledger": Role(lambda: _commands("client").ledger, "site"),
    }
    provision = CommandGroup("provision", "Make and check keys, certificates and folders.", keys)
    return CommandGroup("hushtune", "Federated, privacy-preserving fine-tuning of language models.", roles, [provision])


def main() -> None:
    """Run a command; a user's mistake ends in one line on standard error and status 2, a missing quorum in status 3."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        command_line()(prog_name="hushtune")
    except (HushtuneError, OSError) as error:
        sys.stderr.write(f"hushtune: {' '.join(str(error).split())}\n")
        sys.exit(3 if isinstance(error, QuorumError) else 2)


def _commands(package: Literal["client", "server", "simulations"]) -> ModuleType:
    """Import the commands of one package, and no other package of ours that they do not need."""
    if package == "client":
        from client import commands as steward

        return steward
    if package == "server":
        from server import commands as operator

        return operator
    from simulations import commands as researcher

    return researcher


def _flaws(folder: Path) -> list[Flaw] | None:
    """Check a site's folder or a server's; None when it is neither."""
    from client.provision import check_site
    from server.provision import check_server

    flaws = check_site(folder)
    return check_server(folder) if flaws is None else flaws


if __name__ == "__main__":
    main()
