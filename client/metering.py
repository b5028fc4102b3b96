"""Meter this machine's engine for a run, or for a site before its first run; no record is read."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.preflight import shapes_of
from client.site_file import SiteFile
from privacy.accounting import Accountant
from privacy.audit.meter import Reading, meter
from privacy.dp.plan import PrivacyPlan
from privacy.dp.run_plans import plan_for_site
from shared.config.run import RunConfig
from shared.config.toml import read_toml
from shared.errors import ConfigError
from shared.models.load import choose_device
from shared.ops.findings import write_findings

# The run that is metered at a site before its first run; the run spends the whole budget of a dataset.
STEPS, RATE, FEWEST_EXPECTED = 100, 0.1, 8
SIZES = (3072, 3072, 3072, 3072, 2304, 6)  # numbers of four adapted layers and of a head

Sizes = tuple[int, ...]
NAME = "mechanism"  # the name of the stored findings


def readings(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Meter the engine for each different plan of a file, and return the measured and the claimed values.

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
    if not overrides and "site" in read_toml(path):
        file = SiteFile.load(path)
        return metered(_own_plan(file), SIZES, engine_device(file.model.device)).document()
    config = RunConfig.load(path, overrides)
    folder = config.run.output / config.run.name
    seen = metered(_plans(config, path), sizes_of(shapes_of(config)), engine_device(config.model.device))
    found = {"config_digest": config.digest(), **seen.document()}
    if folder.is_dir():  # so that the report of the run shows it
        write_findings(folder, NAME, found)
    return found


@dataclass(frozen=True)
class Metered:
    """The readings of the meter for each different plan, and the sites that have this plan."""

    readings: Mapping[PrivacyPlan, Reading]
    sites: Mapping[PrivacyPlan, Sequence[str]]

    def document(self, accountant: Accountant | None = None) -> dict[str, Any]:
        """Return the readings as plain values."""
        accountant = accountant or Accountant()
        rows = [{"sites": list(self.sites[plan]), **one.document(accountant)} for plan, one in self.readings.items()]
        return {"passed": all(row["passed"] for row in rows), "plans": rows}


def metered(plans: Mapping[str, PrivacyPlan | None], sizes: Sizes, device: str = "cpu") -> Metered:
    """Meter the engine once for each different plan.

    Parameters
    ----------
    plans
        The plan of each site; a site without one adds no noise and is left out.
    sizes
        Numbers in each tensor that the run trains.
    device
        Where the engine runs (`engine_device`).
    """
    sites: dict[PrivacyPlan, list[str]] = {}
    for site, plan in plans.items():
        if plan is not None:
            sites.setdefault(plan, []).append(site)
    return Metered({plan: meter(plan, sizes, device) for plan in sites}, sites)


def engine_device(asked: str) -> str:
    """Return where a run with this ``model.device`` draws its noise: on a CUDA device if it trains there, else a CPU."""
    return "cuda" if choose_device(asked).type == "cuda" else "cpu"


def sizes_of(shapes: Mapping[str, tuple[int, ...]]) -> Sizes:
    """Return how many numbers each trained tensor has."""
    return tuple(math.prod(shape) for shape in shapes.values())


def _own_plan(file: SiteFile) -> Mapping[str, PrivacyPlan]:
    size = file.data.declared_size
    plan = PrivacyPlan.of(
        declared_size=size,
        sampling_rate=min(1.0, max(RATE, FEWEST_EXPECTED / size)),
        steps=STEPS,
        epsilon=file.policy.dataset_epsilon,
        target_delta=min(file.policy.delta_limits(size)[0], 0.99 / size),
    )
    return {file.site.id: plan}


def _plans(config: RunConfig, path: Path) -> Mapping[str, PrivacyPlan | None]:
    """Return the plan of each site of a run; sites of equal size share one calibration."""
    made = {size: plan_for_site(config, size) for size in {site.declared_size for site in config.data.sites}}
    if None in made.values():
        raise ConfigError(
            f"{path}: no site of this run adds noise (privacy.enabled = {str(config.privacy.enabled).lower()}, "
            f"privacy.trust = '{config.privacy.trust}'), so no site has an engine to meter; set 'local'"
        )
    return {site.id: made[site.declared_size] for site in config.data.sites}
