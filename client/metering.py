"""Meter this machine's engine for a run, or for a site before its first run; no record is read."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from client.preflight import shapes_of
from client.site_file import SiteFile
from privacy.audit.meter import meter
from privacy.dp.plan import PrivacyPlan
from shared.config.run import RunConfig
from shared.config.toml import read_toml
from shared.errors import ConfigError

# A run that a site may meter before it knows one: it spends the whole budget of a dataset.
STEPS, RATE, FEWEST_EXPECTED = 100, 0.1, 8
SIZES = (3072, 3072, 3072, 3072, 2304, 6)  # numbers of four adapted layers and of a head

Sizes = tuple[int, ...]


def readings(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Meter the engine for each different plan of a file, and return what was seen beside what is claimed.

    Parameters
    ----------
    path
        A run's config, or a SITE.toml.
    overrides
        Changed fields of a run's config.

    Raises
    ------
    HushtuneError
        The file cannot be used, no plan meets its epsilon, or no site of the run adds noise.
    """
    own = not overrides and "site" in read_toml(path)
    plans = dict(_own_plan(path) if own else _plans(path, overrides))
    rows = [{"sites": list(sites), **meter(plan, sizes).document()} for (plan, sizes), sites in plans.items()]
    return {"passed": all(row["passed"] for row in rows), "plans": rows}


def sizes_of(shapes: Mapping[str, tuple[int, ...]]) -> Sizes:
    """Return how many numbers each trained tensor has."""
    return tuple(math.prod(shape) for shape in shapes.values())


def _own_plan(path: Path) -> Iterator[tuple[tuple[PrivacyPlan, Sizes], list[str]]]:
    file = SiteFile.load(path)
    size = file.data.declared_size
    plan = PrivacyPlan.of(
        declared_size=size,
        sampling_rate=min(1.0, max(RATE, FEWEST_EXPECTED / size)),
        steps=STEPS,
        epsilon=file.policy.dataset_epsilon,
        target_delta=min(file.policy.delta_limits(size)[0], 0.99 / size),
    )
    yield (plan, SIZES), [file.site.id]


def _plans(path: Path, overrides: Sequence[str]) -> Iterator[tuple[tuple[PrivacyPlan, Sizes], list[str]]]:
    config = RunConfig.load(path, overrides)
    sizes, by_plan = sizes_of(shapes_of(config)), dict[PrivacyPlan, list[str]]()
    for size in dict.fromkeys(site.declared_size for site in config.data.sites):
        plan = PrivacyPlan.for_site(config, size)
        if plan is None:
            raise ConfigError(
                f"{path}: no site of this run adds noise (privacy.enabled = {str(config.privacy.enabled).lower()}, "
                f"privacy.trust = '{config.privacy.trust}'), so there is no engine of a site to meter; set privacy.trust = "
                "'local'"
            )
        by_plan.setdefault(plan, []).extend(site.id for site in config.data.sites if site.declared_size == size)
    yield from (((plan, sizes), sites) for plan, sites in by_plan.items())
