"""No printed epsilon or delta lies below the true one, and none lies far above it."""

import math
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.ops.numbers import delta_up, epsilon_left, epsilon_up

amounts = st.floats(0, allow_nan=False, allow_infinity=False) | st.floats(0, 100) | st.floats(0, 1e-3)


@given(amounts)
@example(3.141549)
@example(0.00004)
@example(8.000000000000002)
@example(5e-324)
@example(1.7976931348623157e308)
def test_a_printed_epsilon_is_never_below_the_true_one(amount: float) -> None:
    shown, exact = Decimal(epsilon_up(amount)), Decimal(repr(amount))
    assert exact <= shown <= exact * Decimal("1.1") + Decimal("0.0001") * (exact >= Decimal("0.001"))
    assert float(shown) >= amount


@given(st.floats(0, 1))
@example(0.00004)
@example(1 / 300)
def test_a_printed_delta_is_never_below_the_true_one(amount: float) -> None:
    shown, exact = Decimal(delta_up(amount)), Decimal(repr(amount))
    assert exact <= shown <= exact * Decimal("1.1")


@given(amounts)
def test_what_is_left_of_a_budget_is_never_above_the_truth(amount: float) -> None:
    assert float(epsilon_left(amount)) <= amount
    assert Decimal(epsilon_left(amount)) <= Decimal(epsilon_up(amount))


@given(amounts, amounts)
def test_the_larger_of_two_epsilons_is_never_printed_as_the_smaller(one: float, other: float) -> None:
    assert (Decimal(epsilon_up(one)) <= Decimal(epsilon_up(other))) or one > other


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (3.141549, "3.1416"),
        (8.0, "8"),
        (8.1, "8.1"),
        (8.000000000000002, "8.0001"),
        (0.00004, "4e-5"),
        (0.00099999, "1e-3"),
        (0.0123, "0.0123"),
        (0, "0"),
        (1234.56789, "1234.5679"),
        (2.5e7, "2.5e7"),
        (math.inf, "unbounded"),
    ],
)
def test_an_epsilon_reads_as_people_write_it(amount: float, shown: str) -> None:
    assert epsilon_up(amount) == shown


@pytest.mark.parametrize(("amount", "shown"), [(3.21e-4, "3.3e-4"), (1e-5, "1e-5"), (9.99e-5, "1e-4"), (0.0019, "1.9e-3")])
def test_a_delta_has_two_digits_and_a_power_of_ten(amount: float, shown: str) -> None:
    assert delta_up(amount) == shown


def test_what_is_not_known_is_a_dash() -> None:
    assert {epsilon_up(None), epsilon_up(math.nan), delta_up(None), delta_up(math.nan)} == {"\N{EM DASH}"}
