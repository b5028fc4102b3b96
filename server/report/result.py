"""A finished run as an object: metrics, rounds and privacy as typed values, and its rows as a table."""

import csv
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from privacy.dp.plan import PrivacyPlan
from privacy.dp.run_plans import releases_of
from privacy.secagg.shared_plan import SharedNoise, attempts_of, declared_sizes
from server.report.files import read_report
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.metrics.bootstrap import Interval

if TYPE_CHECKING:
    from pandas import DataFrame

ROUND = ("round", "committed", "metrics", "bytes_up", "bytes_down", "seconds", "accepted", "missing", "kwh")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class SitePrivacy:
    """What one site's records have spent in a run.

    Attributes
    ----------
    epsilon
        Spent by the rounds that began; None without differential privacy.
    target_delta
        Delta of the guarantee; None without differential privacy.
    plan
        The mechanism that ran, with its noise; None without differential privacy.
    """

    epsilon: float | None
    target_delta: float | None
    plan: PrivacyPlan | None


class Rows(ABC):
    """Rows of plain values that can become a table."""

    @property
    @abstractmethod
    def rows(self) -> tuple[Row, ...]:
        """Return the rows; all have the same columns."""

    def to_frame(self) -> "DataFrame":
        """Return the rows as a pandas data frame.

        Raises
        ------
        ConfigError
            pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ModuleNotFoundError as error:
            raise ConfigError("to_frame: needs pandas: pip install pandas; or use to_csv or .rows") from error
        return DataFrame(list(self.rows))

    def to_csv(self, path: Path | str) -> Path:
        """Write the rows as a CSV file with a header, and return its path.

        Parameters
        ----------
        path
            The file; one that exists is replaced.
        """
        target = Path(path)
        with target.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(self.rows[0]) if self.rows else [])
            writer.writeheader()
            writer.writerows(self.rows)
        return target


@dataclass(frozen=True)
class RunResult(Rows):
    """A finished run.

    Attributes
    ----------
    folder
        The run's folder, with ``report.html``, the adapter and the privacy card.
    report
        Everything that ``report.json`` holds.
    """

    folder: Path
    report: Mapping[str, Any] = field(repr=False)

    @property
    def metrics(self) -> Mapping[str, Interval]:
        """The held-out metrics of the published adapter, by name, with confidence intervals."""
        return {name: Interval(**interval) for name, interval in self.report["final"].items()}

    @property
    def rounds(self) -> tuple[Row, ...]:
        """One row for each attempt at a round: metrics with ``_low`` and ``_high``, bytes, seconds, and counts of sites."""
        rows = ({name: done.get(name) for name in ROUND} for done in self.report["rounds"])
        return tuple(flat({**row, "accepted": len(row["accepted"]), "missing": len(row["missing"])}) for row in rows)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rounds."""
        return self.rounds

    @property
    def privacy(self) -> Mapping[str, SitePrivacy]:
        """What each site's records have spent, by site."""
        config = RunConfig.model_validate(self.report["config"])
        return {
            site["site_id"]: SitePrivacy(site["epsilon"], site["target_delta"], _plan(site, config))
            for site in self.report["sites"]
        }


def load_report(path: Path | str) -> RunResult:
    """Read the result of a finished run, of a simulation or of a real federation.

    Parameters
    ----------
    path
        The run's folder, or the ``report.json`` in it.

    Raises
    ------
    RunError
        There is no readable report.

    Examples
    --------
    >>> from hushtune import load_report
    >>> result = load_report("runs/demo")
    >>> list(result.metrics)[:2]
    ['accuracy', 'balanced_accuracy']
    >>> table = result.to_frame()
    """
    folder = Path(path)
    folder = folder.parent if folder.name == "report.json" else folder
    return RunResult(folder, read_report(folder))


def flat(row: Mapping[str, Any]) -> Row:
    """Return a row whose cells are single values.

    An interval ``name`` becomes ``name``, ``name_low`` and ``name_high``; intervals by name (``metrics``) become columns of
    their own; a sequence of words becomes one string.

    Parameters
    ----------
    row
        Plain values, as in a report.
    """
    cells: dict[str, Any] = {}
    for name, value in row.items():
        if name == "metrics":
            cells |= flat(value)
        elif isinstance(value, Mapping):
            cells |= {name: value["value"], f"{name}_low": value["low"], f"{name}_high": value["high"]}
        elif isinstance(value, Sequence) and not isinstance(value, str):
            cells[name] = " ".join(map(str, value))
        else:
            cells[name] = value
    return cells


def _plan(site: Mapping[str, Any], config: RunConfig) -> PrivacyPlan | None:
    """Return the plan that a report's numbers of a site describe."""
    privacy, training = config.privacy, config.training
    if site["noise_multiplier"] is None:
        return None
    central = privacy.trust == "central"
    shared = SharedNoise.of(config) if privacy.trust == "distributed" else None
    size = max(declared_sizes(config)) if shared else site["declared_size"]
    return PrivacyPlan(
        sampling_rate=site["sampling_rate"],
        noise_multiplier=site["noise_multiplier"],
        clipping_norm=privacy.clipping_norm,
        steps_per_round=1 if central else training.steps,
        rounds=attempts_of(config) if shared else training.rounds,
        target_delta=site["target_delta"],
        declared_size=len(config.data.sites) if central else size,
        releases=() if central else releases_of(config),
        clipping="flat" if central else privacy.clipping,
        unit=privacy.unit,
        trust=privacy.trust,
        shared=shared,
    )
