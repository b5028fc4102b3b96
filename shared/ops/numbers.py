"""Print epsilon and delta rounded up in decimal, so that no printed figure lies below the true one.

Every message, table, page and chart prints its epsilons and deltas with this module; files for machines keep the floats. A
float is first read as the shortest decimal that denotes it (8.1 is 8.1, not the binary number next to it). That decimal is
then rounded up, even if it exceeds the printed figure only slightly: 8.000000000000002 becomes 8.0001.
"""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

EPSILON_STEP = Decimal("0.0001")  # the accountant's own grid: further digits have no meaning
PLAIN = Decimal("0.001"), Decimal(1_000_000)  # epsilons outside of this range are written with a power of ten
UNBOUNDED = "unbounded"
UNKNOWN = "\N{EM DASH}"


def epsilon_up(amount: float | None) -> str:
    """Return an epsilon rounded up to four decimals, or to two digits if it is below 0.001: ``7.9816``, ``4e-5``.

    Parameters
    ----------
    amount
        An epsilon; infinity becomes "unbounded"; None and NaN become a dash.
    """
    return _epsilon(amount, ROUND_CEILING)


def epsilon_left(amount: float | None) -> str:
    """Return the remaining part of a budget, rounded down, because here a figure that is too large would be wrong.

    Parameters
    ----------
    amount
        An epsilon; infinity becomes "unbounded"; None and NaN become a dash.
    """
    return _epsilon(amount, ROUND_FLOOR)


def delta_up(amount: float | None) -> str:
    """Return a delta rounded up to two digits, with a power of ten: ``3.2e-4``.

    Parameters
    ----------
    amount
        A probability; None, NaN and infinity become a dash.
    """
    if amount is None or not math.isfinite(amount):
        return UNKNOWN
    return _two_digits(_exact(amount), ROUND_CEILING)


def _epsilon(amount: float | None, rounding: str) -> str:
    if amount is None or math.isnan(amount):
        return UNKNOWN
    if math.isinf(amount):
        return UNBOUNDED if amount > 0 else UNKNOWN
    exact = _exact(amount)
    if not PLAIN[0] <= abs(exact) < PLAIN[1]:
        return _two_digits(exact, rounding)
    return f"{exact.quantize(EPSILON_STEP, rounding=rounding).normalize():f}"


def _exact(amount: float) -> Decimal:
    return Decimal(repr(float(amount)))


def _two_digits(exact: Decimal, rounding: str) -> str:
    """Return two digits and a power of ten, such as ``3.2e-4``; drop a trailing zero."""
    if not exact:
        return "0"
    rounded = Context(prec=2, rounding=rounding).plus(exact)
    lead = f"{rounded.scaleb(-rounded.adjusted()).normalize():f}"
    return f"{lead}e{rounded.adjusted()}" if rounded.adjusted() else lead
