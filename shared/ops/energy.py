"""Electricity of a piece of work, estimated by codecarbon offline: of the whole machine while the work ran."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

ANY_COUNTRY = "FRA"  # codecarbon wants one for its CO2e, which is not told
Item = TypeVar("Item")


@dataclass
class Energy:
    """What a piece of work took, in kWh; None until it is over."""

    kwh: float | None = None


@dataclass(frozen=True)
class Lap:
    """What one piece of a longer work took: kWh, and kg of CO2e where a country's grid is named."""

    kwh: float
    co2e_kg: float | None = None


@contextmanager
def metered() -> Iterator[Energy]:
    """Measure the block, by hardware counters where the machine has any, else by load; nothing is sent or kept."""
    tracker, energy = _tracker(ANY_COUNTRY), Energy()
    tracker.start()
    try:
        yield energy
    finally:
        tracker.stop()
        energy.kwh = float(tracker.final_emissions_data.energy_consumed)


def by_lap(work: Iterable[Item], country: str | None) -> Iterator[tuple[Item, Lap]]:
    """Each item of some work with what its making took, while it was waited for; the same measure as ``metered``.

    ``country`` is an ISO 3166-1 alpha-3 code, whose grid gives the CO2e.
    """
    tracker, source = _tracker(country or ANY_COUNTRY), iter(work)
    number = 0
    while True:
        tracker.start_task(f"lap {number}")
        try:
            item = next(source)
        except StopIteration:
            return
        finally:
            took = tracker.stop_task()
        number += 1
        yield item, Lap(float(took.energy_consumed), float(took.emissions) if country else None)


def laps_of(work: Iterable[Item], measured: bool, country: str | None) -> Iterator[tuple[Item, Lap | None]]:
    """Each item of some work, with what it took where that is to be ``measured``."""
    if measured:
        yield from by_lap(work, country)
    else:
        yield from ((item, None) for item in work)


def _tracker(country: str) -> Any:
    from codecarbon import OfflineEmissionsTracker

    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    return OfflineEmissionsTracker(
        country_iso_code=country,
        output_methods=[],
        log_level="critical",
        measure_power_secs=1,
        tracking_mode="machine",
        allow_multiple_runs=True,
    )
