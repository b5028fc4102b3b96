"""Move all dates of a document by the same number of days, so that the time between two dates stays the same."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta

from privacy.detect.languages.base import DateForms

# Half a year in either direction hides the season; 0 days would hide nothing.
MOST_DAYS = 182
CLOCKS = ("", " %H:%M", " %H:%M:%S", "T%H:%M", "T%H:%M:%S")
LEAP_YEAR = 2024


def offset_of(number: int) -> int:
    """Map a random number to a number of days from -``MOST_DAYS`` to ``MOST_DAYS``, never 0."""
    days = number % (2 * MOST_DAYS)
    return days - MOST_DAYS if days < MOST_DAYS else days - MOST_DAYS + 1


def shift(text: str, days: int, forms: DateForms) -> str | None:
    """Return a date moved by some days, in its original form; None if the text is not a date with a day.

    If several forms fit, the first is used, because it only matters that all dates move alike.

    Parameters
    ----------
    text
        A date, or the name of a weekday.
    days
        By how many days it moves.
    forms
        How its language writes dates.
    """
    weekday = text.strip().lower()
    if weekday in forms.weekdays:
        return in_case_of(text, forms.weekdays[(forms.weekdays.index(weekday) + days) % 7].capitalize())
    plain = re.sub(rf"(?<=\d)(?:{'|'.join(forms.ordinals)})(?!\w)", "", text.strip())
    named = _months(forms)
    plain = _renamed(plain, {theirs: english for english, theirs in named.items()})
    for form in (*(day + clock for day in forms.numeric for clock in CLOCKS), *forms.textual):
        try:
            # A day and month without a year may be the 29th of February, so a leap year is added.
            read = (
                datetime.strptime(plain, form)
                if "%y" in form.lower()
                else datetime.strptime(f"{plain} {LEAP_YEAR}", f"{form} %Y")
            )
            moved = (read + timedelta(days=days)).strftime(form)
        except (ValueError, OverflowError):
            continue
        # Zeros before a digit stay if the original has one, or if it is of ISO 8601: first the year, then two digits each.
        has_zeros = re.search(r"\b0\d", plain) or (form.startswith("%Y") and not re.search(r"[/-]\d\b", plain))
        moved = _renamed(moved, named)
        return in_case_of(text, moved if has_zeros else re.sub(r"\b0(?=\d\b)", "", moved))
    return None


def _months(forms: DateForms) -> dict[str, str]:
    """Map the English names and abbreviations of the months to those of a language; empty for English itself."""
    english = [date(LEAP_YEAR, month, 1).strftime(form) for form in ("%B", "%b") for month in range(1, 13)]
    # "May" is a name and its own abbreviation; the name counts.
    return dict(reversed([*zip(english, forms.months.split(), strict=True)])) if forms.months else {}


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """Return the text with each of the names replaced, in any case, the longest first."""
    found = {name.lower(): other for name, other in names.items()}
    pattern = "|".join(map(re.escape, sorted(found, key=len, reverse=True)))
    return re.sub(rf"(?<!\w)(?:{pattern})(?!\w)", lambda m: found[m[0].lower()], text, flags=re.I) if found else text


def in_case_of(original: str, made: str) -> str:
    """Return a new value in small letters or in capitals if the original is; one capital letter alone tells nothing."""
    if original.islower():
        return made.lower()
    return made.upper() if original.isupper() and len(original) > 1 else made
