"""Compare the metric of each group of records with privacy and without, to show disparate impact.

Under privacy rare groups can lose more than others (Bagdasaryan, Poursaeed and Shmatikov 2019, arXiv 1905.12101), which a
mean over all records does not show.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from server.probes.groups import MOST_GROUPS
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.metrics.bootstrap import Sums, draws, interval_of
from shared.metrics.registry import measure
from shared.seeds import derive
from simulations.assembly import declared_groups
from simulations.studies.arms import Material
from simulations.studies.conclusions import averaged, grouped
from simulations.studies.results import Result

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Grouping:
    """A way to group test records, and the group of each record; None for a record without a group."""

    by: str
    groups: Sequence[str | None] = field(repr=False)

    @property
    def names(self) -> list[str]:
        """The groups, in order."""
        return sorted({group for group in self.groups if group is not None})


def groupings(config: RunConfig, material: Material) -> list[Grouping]:
    """Return the declared groups of the test records; if none are declared, their classes and their sites.

    Raises
    ------
    ConfigError
        The config declares a column of groups, and the test records have fewer than two groups, or too many to compare.
    """
    probes = config.evaluation.probes
    if probes and probes.group:
        declared = declared_groups(config, material.sites)
        found = Grouping(probes.group, [declared[owner].get(record.position) for owner, record in material.test])
        if not 2 <= len(found.names) <= MOST_GROUPS:
            raise ConfigError(
                f"evaluation.probes.group: the test records are of {len(found.names)} groups in column '{probes.group}'; "
                f"name a column with 2 to {MOST_GROUPS}"
            )
        return [found]
    own = [Grouping("class", [record.label for _, record in material.test]), Grouping("site", [o for o, _ in material.test])]
    return [each for each in own if 2 <= len(each.names) <= MOST_GROUPS]


def disparities(config: RunConfig, results: Sequence[Result], by: Sequence[Grouping]) -> Iterator[dict[str, Any]]:
    """Yield, for each grouping and each method of all sites, each row with privacy next to the row without."""
    found = grouped(results)
    for grouping in by:
        for (method, model, sites, epsilon), private in found.items():
            free = found.get((method, model, sites, None))
            if epsilon is not None and free and len(sites) == len(config.data.sites):
                row = {"method": method, "model": model, "sites": list(sites), "epsilon": epsilon}
                yield {"by": grouping.by, **row, **_compared(config, grouping, free, private)}


def _compared(config: RunConfig, by: Grouping, free: Sequence[Result], private: Sequence[Result]) -> dict[str, Any]:
    """Compare two rows by group, averaged over seeds, on the same resamples.

    Resamples are drawn within each group, so no group is ever empty.
    """
    sides = {name: averaged(side) for name, side in (("free", free), ("private", private))}
    metric = free[0].outcome.primary().name
    values = {name: _by_group(config, by, sums) for name, sums in sides.items()}  # (groups, 1 + resamples)
    gaps = {name: each.max(axis=0) - each.min(axis=0) for name, each in values.items()}
    sign = -1 if measure(metric).lower_is_better else 1
    return {
        "metric": metric,
        "rows": sorted(_rows(config, by, values), key=lambda row: row["records"]),
        "worst": {name: by.names[int((sign * each[:, 0]).argmin())] for name, each in values.items()},
        "gap": _intervals(config, gaps),
    }


def _by_group(config: RunConfig, by: Grouping, sums: Sums) -> Floats:
    """Return the metric of each group, on its records and on each resample, (groups, 1 + resamples)."""
    groups = np.array(by.groups, dtype=object)
    return np.stack([_resampled(config, sums, np.flatnonzero(groups == name)) for name in by.names])


def _resampled(config: RunConfig, sums: Sums, places: npt.NDArray[np.intp]) -> Floats:
    rows = sums.rows[places]
    seed = derive(config.run.seed, "groups")
    chosen = draws(len(rows), config.evaluation.bootstrap, seed)
    return sums.measure(np.stack([rows.sum(axis=0), *(rows[indices].sum(axis=0) for indices in chosen)]))


def _rows(config: RunConfig, by: Grouping, values: Mapping[str, Floats]) -> Iterator[dict[str, Any]]:
    for place, name in enumerate(by.names):
        own = {side: each[place] for side, each in values.items()}
        yield {"group": name, "records": by.groups.count(name), **_intervals(config, own)}


def _intervals(config: RunConfig, sides: Mapping[str, Floats]) -> dict[str, Any]:
    """Return the intervals of both sides and of the paired change between them."""
    every = {**sides, "change": sides["private"] - sides["free"]}
    return {name: asdict(interval_of(each, config.evaluation.confidence)) for name, each in every.items()}
