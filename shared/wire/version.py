"""Which hushtune is installed here."""

from importlib.metadata import version


def installed() -> str:
    """The version of the installed distribution, such as ``0.1.0``."""
    return version("hushtune")
