"""Epsilon and delta as people read them: rounded up in decimal, so that no printed figure lies below the true one.

Every message, table, page and chart writes its epsilons and deltas with this module; files for machines keep the floats.
The rule: a float is read as the shortest decimal that names it (8.1 is 8.1, and not the binary number just beside it), and
that decimal is rounded up, by however little it lies above the figure that is shown: 8.000000000000002 is 8.0001.
"""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

EPSILON_STEP = Decimal("0.0001")  # the accountant's own grid: further digits say nothing
PLAIN = Decimal("0.001"), Decimal(1_000_000)  # an epsilon below or from these on is written with a power of ten
UNBOUNDED = "unbounded"
UNKNOWN = "\N{EM DASH}"


def epsilon_up(amount: float | None) -> str:
    """Return an epsilon rounded up to four decimals, or to two digits where it is below 0.001: ``7.9816``, ``4e-5``.

    Parameters
    ----------
    amount
        An epsilon. Infinity becomes "unbounded"; None and what is no number become a dash.
    """
    return _epsilon(amount, ROUND_CEILING)


def epsilon_left(amount: float | None) -> str:
    """Return what remains of a budget, rounded down: of this figure, and of no other, too much is the wrong side."""
    return _epsilon(amount, ROUND_FLOOR)


def delta_up(amount: float | None) -> str:
    """Return a delta rounded up to two digits, with a power of ten: ``3.2e-4``.

    Parameters
    ----------
    amount
        A probability. None and what is no number become a dash.
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
    """Return two digits and a power of ten: ``3.2e-4``; a zero at their end is left out."""
    if not exact:
        return "0"
    rounded = Context(prec=2, rounding=rounding).plus(exact)
    lead = f"{rounded.scaleb(-rounded.adjusted()).normalize():f}"
    return f"{lead}e{rounded.adjusted()}" if rounded.adjusted() else lead
