"""Numbers as people read them: never more digits than mean something, never rounded in our own favour."""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any

from shared.metrics.registry import measure
from shared.ops.numbers import UNKNOWN, delta_up, epsilon_up

NONE = UNKNOWN
SUPERSCRIPT = str.maketrans("-0123456789", "\N{SUPERSCRIPT MINUS}⁰¹²³⁴⁵⁶⁷⁸⁹")


def is_known(interval: Mapping[str, float] | None) -> bool:
    """Whether there is a number to show."""
    middle = interval.get("value") if interval else None
    return middle is not None and not math.isnan(middle)


def measured(interval: Mapping[str, float] | None, metric: str) -> str:
    """A value with its interval: ``83.1 % (81.0 to 85.0)``."""
    ends = span(interval, metric)
    return f"{value(interval, metric)} ({ends})" if ends else value(interval, metric)


def value(interval: Mapping[str, float] | None, metric: str) -> str:
    """The value of an interval, in the metric's form."""
    middle = interval.get("value") if interval else None
    return share(middle) if measure(metric).percent else number(middle)


def span(interval: Mapping[str, float] | None, metric: str) -> str:
    """The ends of an interval, to the digits of its value: ``81.0 to 85.0``."""
    ends = [interval.get("low"), interval.get("high")] if interval else [None]
    if any(end is None for end in ends):
        return ""
    if measure(metric).percent:
        return " to ".join(share(end).removesuffix(" %") for end in ends)
    return " to ".join(number(end) for end in ends)


def change(interval: Mapping[str, float], metric: str) -> str:
    """A change with its sign and interval, in points where the metric is a percentage: ``+2.1 points (0.8 to 3.4)``."""
    factor = 100 if measure(metric).percent else 1
    middle, low, high = (factor * interval[end] for end in ("value", "low", "high"))
    unit = " points" if factor == 100 else ""
    return f"{middle:+.3g}{unit} ({low:+.3g} to {high:+.3g})"


def p_value(amount: float) -> str:
    """The p-value of a test, never below what its resamples can show: ``0.012``."""
    return f"{amount:.2g}" if amount >= 0.0095 else f"{Decimal(repr(amount)).quantize(Decimal('0.001'), ROUND_CEILING)}"


def share(amount: float | None) -> str:
    """A share as a percentage; what is almost all or almost none does not become all or none."""
    if amount is None or math.isnan(amount):
        return NONE
    if 0.9995 <= amount < 1:
        return "> 99.9 %"
    return "< 0.1 %" if 0 < amount < 0.0005 else f"{100 * amount:.1f} %"


def share_at_most(amount: float) -> str:
    """A share that is an upper limit, as a percentage rounded up."""
    return f"{(100 * Decimal(repr(float(amount)))).quantize(Decimal('0.1'), ROUND_CEILING)} %"


def number(amount: float | None) -> str:
    """A number to about three digits, whole from 100 up."""
    if amount is None or math.isnan(amount):
        return NONE
    if math.isinf(amount):
        return "∞" if amount > 0 else "-∞"
    size_of = abs(amount)
    if size_of < 1:
        return f"{amount:.3g}"
    return f"{amount:,.{0 if size_of >= 99.95 else 1 if size_of >= 9.995 else 2}f}"


def count(amount: int | None) -> str:
    """A count, with separators of thousands."""
    return NONE if amount is None else f"{amount:,}"


def size(amount: float | None) -> str:
    """Bytes in decimal units: ``452 kB``."""
    if amount is None:
        return NONE
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.{0 if unit == 'B' or amount >= 99.95 else 1 if amount >= 9.995 else 2}f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


def energy(kwh: float | None) -> str:
    """Electricity in watt hours or kilowatt hours."""
    if kwh is None:
        return NONE
    return f"{kwh:.3g} kWh" if kwh >= 1 else f"{1000 * kwh:.3g} Wh"


def duration(seconds: float | None) -> str:
    """A time: ``0.42 s``, ``8.4 s``, ``42 s``, ``1 min 37 s`` or ``2 h 5 min``."""
    if seconds is None or not math.isfinite(seconds):
        return NONE
    if seconds < 59.5:
        return f"{seconds:.{2 if seconds < 0.995 else 1 if seconds < 9.95 else 0}f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def epsilon(amount: float | None) -> str:
    """A privacy loss, rounded up since it is an upper bound: ``7.9816``."""
    return _in_print(epsilon_up(amount))


def target_delta(amount: float | None) -> str:
    """The failure probability of the guarantee, to two digits and rounded up: ``3.2 x 10^-4`` in print."""
    return _in_print(delta_up(amount))


def _in_print(figure: str) -> str:
    """A figure with its power of ten as it is printed."""
    lead, _, power = figure.partition("e")
    is_power = power.removeprefix("-").isdecimal()  # "unbounded" has an e too
    return f"{lead} \N{MULTIPLICATION SIGN} 10{power.translate(SUPERSCRIPT)}" if is_power else figure


def grids(steps: Mapping[str, float]) -> str:
    """Return the grids of released numbers, powers of two, by what each is released for: ``2^-41 (training)``."""
    named = {purpose.replace("_", " "): math.frexp(step)[1] - 1 for purpose, step in steps.items()}
    return ", ".join(f"2^{exponent} ({purpose})" for purpose, exponent in named.items()) or "nothing was noised"


def exact(amount: float) -> str:
    """A number with all its digits: what an accountant computes with is not rounded at all."""
    return repr(amount)


def day(moment: str) -> str:
    """An ISO 8601 moment as people write it: ``23 November 2026, 12:00 UTC``."""
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    return f"{parsed.day} {parsed:%B %Y, %H:%M} {parsed.tzname() or ''}".rstrip()


def setting(given: Any) -> str:
    """A value of the config as a person reads it: one line for each entry of a list of tables."""
    if given is None or (isinstance(given, str | list | tuple | Mapping) and not given):
        return "not set"
    if isinstance(given, Mapping):
        return ", ".join(f"{key} = {setting(inner)}" for key, inner in given.items())
    if isinstance(given, list | tuple):
        return ("\n" if isinstance(given[0], Mapping) else ", ").join(setting(inner) for inner in given)
    return given if isinstance(given, str) else json.dumps(given)
