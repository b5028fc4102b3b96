"""Format numbers for people: only meaningful digits, and never rounded in our own favour."""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any

from shared.metrics.registry import measure
from shared.ops.numbers import UNKNOWN, delta_up, epsilon_up

SUPERSCRIPT = str.maketrans("-0123456789", "\N{SUPERSCRIPT MINUS}⁰¹²³⁴⁵⁶⁷⁸⁹")


def is_known(interval: Mapping[str, float] | None) -> bool:
    """Return whether the interval has a value."""
    middle = interval.get("value") if interval else None
    return middle is not None and not math.isnan(middle)


def measured(interval: Mapping[str, float] | None, metric: str) -> str:
    """Format a value with its interval: ``83.1 % (81.0 to 85.0)``.

    Parameters
    ----------
    interval
        The keys value, low and high; None or missing ends are shown as unknown.
    metric
        The metric's name, which decides the form.
    """
    ends = span(interval, metric)
    return f"{value(interval, metric)} ({ends})" if ends else value(interval, metric)


def value(interval: Mapping[str, float] | None, metric: str) -> str:
    """Format the value of an interval in the metric's form."""
    middle = interval.get("value") if interval else None
    return share(middle) if measure(metric).percent else number(middle)


def span(interval: Mapping[str, float] | None, metric: str) -> str:
    """Format the ends of an interval: ``81.0 to 85.0``; empty if an end is missing."""
    ends = [interval.get("low"), interval.get("high")] if interval else [None]
    if any(end is None for end in ends):
        return ""
    if measure(metric).percent:
        return " to ".join(share(end).removesuffix(" %") for end in ends)
    return " to ".join(number(end) for end in ends)


def change(interval: Mapping[str, float], metric: str) -> str:
    """Format a change with its sign and interval: ``+2.1 points (+0.8 to +3.4)`` where the metric is a percentage."""
    factor = 100 if measure(metric).percent else 1
    middle, low, high = (factor * interval[end] for end in ("value", "low", "high"))
    unit = " points" if factor == 100 else ""
    return f"{middle:+.3g}{unit} ({low:+.3g} to {high:+.3g})"


def p_value(amount: float) -> str:
    """Format a p-value: ``0.012``; small ones are rounded up to three decimals, so that none is shown as 0."""
    return f"{amount:.2g}" if amount >= 0.0095 else f"{Decimal(repr(amount)).quantize(Decimal('0.001'), ROUND_CEILING)}"


def share(amount: float | None) -> str:
    """Format a share as a percentage; values close to 0 or 1 become ``< 0.1 %`` or ``> 99.9 %``, not 0 or 100 %.

    Parameters
    ----------
    amount
        0 to 1; None or NaN is shown as unknown.
    """
    if amount is None or math.isnan(amount):
        return UNKNOWN
    if 0.9995 <= amount < 1:
        return "> 99.9 %"
    return "< 0.1 %" if 0 < amount < 0.0005 else f"{100 * amount:.1f} %"


def share_at_most(amount: float) -> str:
    """Format a share that is an upper limit: a percentage, rounded up."""
    return f"{(100 * Decimal(repr(float(amount)))).quantize(Decimal('0.1'), ROUND_CEILING)} %"


def number(amount: float | None) -> str:
    """Format a number to about three digits, without decimals from 100 on.

    Parameters
    ----------
    amount
        None or NaN is shown as unknown.
    """
    if amount is None or math.isnan(amount):
        return UNKNOWN
    if math.isinf(amount):
        return "∞" if amount > 0 else "-∞"
    size_of = abs(amount)
    if size_of < 1:
        return f"{amount:.3g}"
    return f"{amount:,.{0 if size_of >= 99.95 else 1 if size_of >= 9.995 else 2}f}"


def count(amount: int | None) -> str:
    """Format a count with thousands separators.

    Parameters
    ----------
    amount
        None is shown as unknown.
    """
    return UNKNOWN if amount is None else f"{amount:,}"


def size(amount: float | None) -> str:
    """Format a number of bytes in decimal units: ``452 kB``.

    Parameters
    ----------
    amount
        Bytes; None is shown as unknown.
    """
    if amount is None:
        return UNKNOWN
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.{0 if unit == 'B' or amount >= 99.95 else 1 if amount >= 9.995 else 2}f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


def energy(kwh: float | None) -> str:
    """Format an amount of electricity in watt hours or kilowatt hours.

    Parameters
    ----------
    kwh
        Kilowatt hours; None is shown as unknown.
    """
    if kwh is None:
        return UNKNOWN
    return f"{kwh:.3g} kWh" if kwh >= 1 else f"{1000 * kwh:.3g} Wh"


def duration(seconds: float | None) -> str:
    """Format a time: ``0.42 s``, ``8.4 s``, ``42 s``, ``1 min 37 s`` or ``2 h 5 min``.

    Parameters
    ----------
    seconds
        None or a value that is not finite is shown as unknown.
    """
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 59.5:
        return f"{seconds:.{2 if seconds < 0.995 else 1 if seconds < 9.95 else 0}f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def epsilon(amount: float | None) -> str:
    """Format an epsilon, rounded up because it is an upper bound: ``7.9816``.

    Parameters
    ----------
    amount
        Epsilon; None is shown as unknown.
    """
    return _in_print(epsilon_up(amount))


def target_delta(amount: float | None) -> str:
    """Format a target delta to two digits, rounded up: ``3.2 x 10^-4``, with a superscript.

    Parameters
    ----------
    amount
        Delta; None is shown as unknown.
    """
    return _in_print(delta_up(amount))


def _in_print(figure: str) -> str:
    """Replace an exponent such as ``e-4`` by a printed power of ten."""
    lead, _, power = figure.partition("e")
    is_power = power.removeprefix("-").isdecimal()  # "unbounded" has an e too
    return f"{lead} \N{MULTIPLICATION SIGN} 10{power.translate(SUPERSCRIPT)}" if is_power else figure


def grids(steps: Mapping[str, float]) -> str:
    """Format the grid step of each kind of release, a power of two: ``2^-41 (training)``."""
    named = {purpose.replace("_", " "): math.frexp(step)[1] - 1 for purpose, step in steps.items()}
    return ", ".join(f"2^{exponent} ({purpose})" for purpose, exponent in named.items()) or "nothing was noised"


def exact(amount: float) -> str:
    """Format a number with all its digits, for values that epsilon is computed from."""
    return repr(amount)


def day(moment: str) -> str:
    """Format an ISO 8601 time for people: ``23 November 2026, 12:00 UTC``."""
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    return f"{parsed.day} {parsed:%B %Y, %H:%M} {parsed.tzname() or ''}".rstrip()


def setting(given: Any) -> str:
    """Format a value of the config; a list of tables takes one line per table.

    Parameters
    ----------
    given
        Any JSON value; None and empty values are shown as "not set".
    """
    if given is None or (isinstance(given, str | list | tuple | Mapping) and not given):
        return "not set"
    if isinstance(given, Mapping):
        return ", ".join(f"{key} = {setting(inner)}" for key, inner in given.items())
    if isinstance(given, list | tuple):
        return ("\n" if isinstance(given[0], Mapping) else ", ").join(setting(inner) for inner in given)
    return given if isinstance(given, str) else json.dumps(given)
