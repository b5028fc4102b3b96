"""Estimate the electricity of a piece of work with codecarbon, offline; it counts the whole machine while the work runs."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

ANY_COUNTRY = "FRA"  # codecarbon requires a country; if the config names none, this one is used and the CO2e is not reported
Item = TypeVar("Item")


@dataclass
class Energy:
    """Electricity of a piece of work in kWh; None until the work is over."""

    kwh: float | None = None


@dataclass(frozen=True)
class Lap:
    """Electricity of one item of a longer work.

    Attributes
    ----------
    kwh
        Electricity in kWh.
    co2e_kg
        CO2 equivalent in kg; None if no country is given.
    """

    kwh: float
    co2e_kg: float | None = None


@contextmanager
def metered() -> Iterator[Energy]:
    """Measure the electricity of a block: by hardware counters if the machine has them, else from the load.

    Nothing is sent or written.
    """
    tracker, energy = _tracker(ANY_COUNTRY), Energy()
    tracker.start()
    try:
        yield energy
    finally:
        tracker.stop()
        energy.kwh = float(tracker.final_emissions_data.energy_consumed)


def laps_of(work: Iterable[Item], measured: bool, country: str | None) -> Iterator[tuple[Item, Lap | None]]:
    """Yield each item of an iterable with the electricity used while waiting for that item.

    Parameters
    ----------
    work
        Iterable whose items take long to make.
    measured
        Whether to measure; if not, each item comes with None.
    country
        ISO 3166-1 alpha-3 code of the country whose grid gives the CO2e; None gives no CO2e.
    """
    if not measured:
        yield from ((item, None) for item in work)
        return
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
