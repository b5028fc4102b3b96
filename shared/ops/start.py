"""Answer what needs no command: the version, and a system on which hushtune does not run."""

import sys
from collections.abc import Sequence

from shared.errors import ConfigError
from shared.wire.version import installed


def answer_at_once(words: Sequence[str], system: str) -> None:
    """Print the version and end, if that is all that was asked.

    Parameters
    ----------
    words
        Words after the command's name.
    system
        Python's name of the operating system.

    Raises
    ------
    ConfigError
        The system has no file locks and private files as POSIX has, which the ledger needs.
    """
    if system == "win32":
        raise ConfigError("this system: hushtune runs on Linux and macOS; on Windows, install it inside WSL 2")
    if list(words) == ["--version"]:
        sys.stdout.write(f"hushtune {installed()}\n")
        sys.exit(0)
