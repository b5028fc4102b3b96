"""Moving dates by the same number of days all through a document, so that what lies between two of them stays."""

import re
from datetime import datetime, timedelta

# Half a year either way hides the season and keeps the order; 0 would hide nothing.
MOST_DAYS = 182
CLOCKS = ("", " %H:%M", " %H:%M:%S", "T%H:%M", "T%H:%M:%S")
NUMERIC = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d.%m.%y",
)
TEXTUAL = ("%d %B %Y", "%d %b %Y", "%B %d, %Y", "%B %d %Y", "%b %d, %Y", "%b %d %Y", "%d %B", "%d %b", "%B %d", "%b %d")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
LEAP_YEAR = 2024


def offset_of(number: int) -> int:
    """A number of days from -``MOST_DAYS`` to ``MOST_DAYS``, never 0, from a random number."""
    days = number % (2 * MOST_DAYS)
    return days - MOST_DAYS if days < MOST_DAYS else days - MOST_DAYS + 1


def shift(text: str, days: int) -> str | None:
    """A date moved by some days, written as before; None where the text is no date with a day.

    Day comes before month where both readings are possible; what counts is that all dates move alike.
    """
    if text.strip().lower() in WEEKDAYS:
        return _cased(text, WEEKDAYS[(WEEKDAYS.index(text.strip().lower()) + days) % 7].capitalize())
    plain = re.sub(r"(?<=\d)(?:st|nd|rd|th)\b", "", text.strip())
    formats = (*(date + clock for date in NUMERIC for clock in CLOCKS), *TEXTUAL)
    for form in formats:
        try:
            # A day and month alone may be the 29th of February.
            read = (
                datetime.strptime(plain, form)
                if "%y" in form.lower()
                else datetime.strptime(f"{plain} {LEAP_YEAR}", f"{form} %Y")
            )
            moved = (read + timedelta(days=days)).strftime(form)
        except (ValueError, OverflowError):
            continue
        return _cased(text, moved if re.search(r"\b0\d", plain) else re.sub(r"\b0(?=\d\b)", "", moved))
    return None


def _cased(original: str, made: str) -> str:
    return (
        made.lower()
        if original.islower()
        else made.upper()
        if original.isupper() and original.upper() != original.lower()
        else made
    )
