"""Electricity by lap: which work a lap takes in, and that nothing is measured unless it is asked for."""

import time
from collections.abc import Iterator

import pytest

from shared.ops import energy
from shared.ops.energy import Lap, laps_of


class Clock:
    """A meter whose electricity is the seconds that passed, in a time that only the tests advance."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.stopped, self.now = 0, 0.0

    def start_task(self, name: str) -> None:
        self.started.append(name)
        self._at = self.now

    def stop_task(self) -> "Clock":
        self.stopped += 1
        self.energy_consumed = self.now - self._at
        self.emissions = self.energy_consumed / 2
        return self


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(energy, "_tracker", lambda country: clock)
    return clock


def work(clock: Clock, fails: bool = False) -> Iterator[int]:
    for number in range(3):
        clock.now += number + 1
        yield number
    if fails:
        raise KeyError


def test_a_lap_is_the_making_of_its_item_and_not_what_is_done_with_it(clock: Clock) -> None:
    laps = []
    for _, lap in laps_of(work(clock), True, "DEU"):
        clock.now += 100
        laps.append(lap)
    assert laps == [Lap(1, 0.5), Lap(2, 1), Lap(3, 1.5)]
    assert len(clock.started) == clock.stopped == 4  # the last one found that nothing came


def test_without_a_country_no_co2e_is_told(clock: Clock) -> None:
    assert [lap for _, lap in laps_of(work(clock), True, None)] == [Lap(1), Lap(2), Lap(3)]


def test_a_meter_is_stopped_when_the_work_fails(clock: Clock) -> None:
    with pytest.raises(KeyError):
        list(laps_of(work(clock, fails=True), True, None))
    assert clock.stopped == len(clock.started)


def test_nothing_is_measured_unless_the_config_asks(clock: Clock) -> None:
    assert list(laps_of(work(clock), False, None)) == [(0, None), (1, None), (2, None)]
    assert clock.started == []


@pytest.mark.slow
def test_codecarbon_measures_more_for_more_work() -> None:
    def busy() -> Iterator[float]:
        for seconds in (0.05, 0.4):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                pass
            yield seconds

    short, long = (lap for _, lap in laps_of(busy(), True, "DEU"))
    assert 0 < short.kwh < long.kwh < 1
    assert short.co2e_kg is not None
