"""Electricity of a piece of work, estimated by codecarbon offline: of the whole machine while the work ran."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

ANY_COUNTRY = "FRA"  # codecarbon wants one; without ours no CO2e is told


@dataclass
class Energy:
    """What a piece of work took: kWh, and kg of CO2e where the country of the grid is known; None until it is over."""

    kwh: float | None = None
    co2e_kg: float | None = None


@contextmanager
def metered(country: str = "") -> Iterator[Energy]:
    """Measure the block: hardware counters where the machine has any, else typical power by load.

    ``country`` is the ISO code (three letters) of the grid; empty tells no CO2e. Nothing is sent or written.
    """
    from codecarbon import OfflineEmissionsTracker

    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    tracker = OfflineEmissionsTracker(
        country_iso_code=country or ANY_COUNTRY,
        output_methods=[],
        log_level="critical",
        measure_power_secs=1,
        tracking_mode="machine",
        allow_multiple_runs=True,
    )
    energy = Energy()
    tracker.start()
    try:
        yield energy
    finally:
        tracker.stop()
        measured = tracker.final_emissions_data
        energy.kwh = float(measured.energy_consumed)
        energy.co2e_kg = float(measured.emissions) if country else None
