"""The command line: one Typer app made of each package's own commands, and how a mistake ends."""

import os
import sys

import typer

import client.commands as steward
import server.commands as operator
from shared.commands import app as both
from shared.commands import provision
from shared.errors import HushtuneError, QuorumError
from simulations.commands import app as researcher


def command_line() -> typer.Typer:
    """All commands, as one Typer app."""
    app = typer.Typer(
        name="hushtune",
        help="Federated, privacy-preserving fine-tuning of language models.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for commands in (researcher, operator.app, steward.app, both, operator.card, operator.review, steward.ledger):
        app.add_typer(commands)
    app.add_typer(provision((operator.provision, steward.provision), (steward.check, operator.check)))
    return app


def main() -> None:
    """Run a command; a user's mistake ends in one line on standard error and status 2, a missing quorum in status 3."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        command_line()()
    except (HushtuneError, OSError) as error:
        sys.stderr.write(f"hushtune: {' '.join(str(error).split())}\n")
        sys.exit(3 if isinstance(error, QuorumError) else 2)


if __name__ == "__main__":
    main()
