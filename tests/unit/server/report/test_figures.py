import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.report.figures import count, day, duration, epsilon, measured, number, setting, share, size, target_delta
from shared.metrics.registry import measure
from shared.ops.numbers import UNKNOWN

SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹\N{SUPERSCRIPT MINUS}", "0123456789-")


def decimal(figure: str) -> Decimal:
    """Parse a printed figure."""
    lead, _, power = figure.partition(" \N{MULTIPLICATION SIGN} 10")
    return Decimal(lead).scaleb(int(power.translate(SUPERSCRIPTS) or 0))


@given(st.floats(0, 1e9))
def test_a_privacy_loss_is_never_rounded_down(amount: float) -> None:
    shown = decimal(epsilon(amount))
    assert Decimal(repr(amount)) <= shown <= Decimal(repr(amount)) * Decimal("1.1") + Decimal("0.0001")


@given(st.floats(1e-12, 0.5))
def test_a_failure_probability_is_never_rounded_down(amount: float) -> None:
    assert Decimal(repr(amount)) <= decimal(target_delta(amount)) <= Decimal(repr(amount)) * Decimal("1.1")


@given(st.floats(0, 1))
def test_almost_all_is_not_all_and_almost_none_is_not_none(amount: float) -> None:
    assert (share(amount) == "100.0 %") == (amount == 1)
    assert (share(amount) == "0.0 %") == (amount == 0)


def test_what_is_not_known_is_a_dash() -> None:
    for show in (share, number, count, size, duration, epsilon, target_delta):
        assert show(None) == UNKNOWN
    assert measured(None, "accuracy") == UNKNOWN
    assert share(math.nan) == number(math.nan) == epsilon(math.nan) == UNKNOWN
    assert (epsilon(math.inf), number(math.inf)) == ("unbounded", "∞")


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (measured({"value": 0.8312, "low": 0.81, "high": 0.85}, "accuracy"), "83.1 % (81.0 to 85.0)"),
        (measured({"value": 12.345, "low": 11, "high": 13.2}, "perplexity"), "12.3 (11.0 to 13.2)"),
        (number(1234.5), "1,234"),
        (number(0.01234), "0.0123"),
        (count(12345), "12,345"),
        (size(999), "999 B"),
        (size(451_600), "452 kB"),
        (size(1_806_336), "1.81 MB"),
        (duration(0.418), "0.42 s"),
        (duration(97), "1 min 37 s"),
        (duration(59.9), "1 min 0 s"),
        (duration(7500), "2 h 5 min"),
        (epsilon(7.98104), "7.9811"),
        (epsilon(4e-5), "4 × 10⁻⁵"),  # noqa: RUF001  as it is printed
        (target_delta(3.2e-4), "3.2 × 10⁻⁴"),  # noqa: RUF001
        (target_delta(9.99e-5), "1 × 10⁻⁴"),  # noqa: RUF001
        (day("2026-11-23T12:00:00+00:00"), "23 November 2026, 12:00 UTC"),
        (setting([]), "not set"),
        (setting({"a": 1, "b": [True, "x"]}), "a = 1, b = true, x"),
    ],
)
def test_figures_read_as_people_write_them(shown: str, expected: str) -> None:
    assert shown == expected


@given(st.floats(0, 1e9))
def test_a_time_never_shows_sixty_seconds_or_minutes(seconds: float) -> None:
    shown = duration(seconds)
    assert not f" {shown}".endswith(" 60 s")
    assert not f" {shown}".endswith(" 60 min")


@given(st.floats(0, 1e15))
def test_a_size_has_at_most_three_digits_below_a_terabyte(amount: float) -> None:
    figure, unit = size(amount).split(" ")
    assert unit == "TB" or len(figure.replace(".", "")) <= 3


def test_a_metric_that_is_not_listed_is_shown_plainly() -> None:
    assert measure("exact_match").label == "exact match"
