"""One-line messages about a faulty config: the field's path, its range, and the nearest valid name."""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError


def first_line(model: type[BaseModel], error: ValidationError) -> str:
    """Return one line about the first problem: field path, what is wrong, and the nearest valid name or the description.

    Parameters
    ----------
    model
        Class of the configuration (or of a site file) that was validated.
    error
        The error of its validation.

    Returns
    -------
    str
        Text without a line break; the caller adds the file in front.
    """
    problem = error.errors(include_url=False)[0]
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown field '{path}'{_nearest(model, problem['loc'])}"
    message = problem["msg"].removeprefix("Value error, ").replace("Input should", "must")
    if problem["type"] == "value_error":
        return f"{path}{': ' if message.startswith('must ') else '.'}{message}" if path else message
    about = f"({path.split('.')[-1]}: {_description(model, problem['loc'])})"
    if problem["type"] == "missing":
        return f"{path}: missing, it is required {about}"
    given = problem["input"]
    close = difflib.get_close_matches(str(given), re.findall(r"'([^']+)'", message), n=1)
    nearest = f"; nearest is '{close[0]}'" if close else ""
    shown = f" = {given!r}" if isinstance(given, str | int | float) else ""
    return f"{path}{shown}: {message}{nearest} {about}"


def _fields_at(model: type[BaseModel], location: Sequence[int | str]) -> Iterator[tuple[type[BaseModel], str]]:
    """Yield the section class and the field name at each named step of a pydantic error location."""
    current: type[BaseModel] | None = model
    for part in location:
        if current is None or isinstance(part, int):
            continue
        yield current, part
        field = current.model_fields.get(part)
        current = section_of(field.annotation) if field else None


def section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section class inside an annotation such as ``tuple[SiteSection, ...]``, or None."""
    candidates = [annotation, *getattr(annotation, "__args__", ())]
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _nearest(model: type[BaseModel], location: Sequence[int | str]) -> str:
    """Return ``; nearest is 'training.rounds'``, or the list of valid names."""
    section, name = list(_fields_at(model, location))[-1]
    names = list(section.model_fields)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    prefix = "".join(f"{part}." for part in location[:-1])
    return f"; nearest is '{prefix}{close[0]}'" if close else f"; known here: {', '.join(names)}"


def _description(model: type[BaseModel], location: Sequence[int | str]) -> str:
    """Return the description of the deepest field that a location names."""
    steps = [(section, name) for section, name in _fields_at(model, location) if name in section.model_fields]
    section, name = steps[-1]
    return section.model_fields[name].description or f"section [{name}]"
