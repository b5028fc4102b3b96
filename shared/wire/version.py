"""Read the installed version of hushtune."""

from importlib.metadata import version


def installed() -> str:
    """Return the version of the installed distribution, such as ``0.1.0``."""
    return version("hushtune")
