"""Refuse a command or setting that needs an optional part (extra) of this package which is not installed."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from shared.errors import ConfigError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from shared.config.run import RunConfig

OURS = "hushtune"
TRACKING: Mapping[str, str] = {"mlflow": "tracking", "tensorboard": "tensorboard", "wandb": "wandb"}  # tracker: extra


def require_for(config: "RunConfig") -> None:
    """Refuse a run whose report needs an extra that is not installed, before the run costs anything.

    Raises
    ------
    ConfigError
        The extra is missing; the message names the field of the config.
    """
    report = config.report
    if report.energy:
        require("report.energy = true", "energy")
    if report.tracking in TRACKING:
        require(f"report.tracking = '{report.tracking}'", TRACKING[report.tracking])


def require(subject: str, extra: str, otherwise: str = "") -> None:
    """Refuse a command or setting whose extra is not installed.

    Parameters
    ----------
    subject
        The command or setting, as the user wrote it; begins the message.
    extra
        Name of the extra in pyproject.toml, such as ``"server"``.
    otherwise
        What the user can do instead of installing it.

    Raises
    ------
    ConfigError
        A package of the extra is missing; the message says how to install the extra.
    """
    if next(missing(extra), None) is not None:
        remedy = f", or {otherwise}" if otherwise else ""
        raise ConfigError(f"{subject} needs the extra '{extra}': pip install '{OURS}[{extra}]'{remedy}")


def missing(extra: str) -> Iterator[str]:
    """Yield the packages of an extra, and of the extras that it includes, that are not installed in a release it allows."""
    yield from (requirement.name for requirement in _requirements(extra) if not _is_met(requirement))


def _requirements(extra: str) -> "Iterator[Requirement]":
    """Yield what our own package's metadata lists under an extra; nothing if our package is not installed."""
    from importlib.metadata import PackageNotFoundError, requires  # slow, and every command imports this module

    from packaging.requirements import Requirement

    try:
        lines = requires(OURS) or []
    except PackageNotFoundError:
        return
    for requirement in map(Requirement, lines):
        marker = requirement.marker
        if marker and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""}):
            yield requirement


def _is_met(requirement: "Requirement") -> bool:
    from importlib.metadata import version

    return is_installed(requirement.name) and requirement.specifier.contains(version(requirement.name), prereleases=True)


def is_installed(package: str) -> bool:
    """Return whether a package is installed, by its name in the package registry."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True
