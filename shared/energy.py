"""Electricity of a piece of work, estimated by codecarbon offline: of the whole machine while the work ran."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

ANY_COUNTRY = "FRA"  # codecarbon wants one for its CO2e, which is not told


@dataclass
class Energy:
    """What a piece of work took, in kWh; None until it is over."""

    kwh: float | None = None


@contextmanager
def metered() -> Iterator[Energy]:
    """Measure the block, by hardware counters where the machine has any, else by load; nothing is sent or kept."""
    from codecarbon import OfflineEmissionsTracker

    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    tracker = OfflineEmissionsTracker(
        country_iso_code=ANY_COUNTRY,
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
        energy.kwh = float(tracker.final_emissions_data.energy_consumed)
