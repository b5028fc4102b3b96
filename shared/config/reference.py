"""List all fields of the run configuration with type, range, default and description, read from the classes themselves."""

import difflib
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.config.explain import section_of
from shared.config.run import RunConfig
from shared.errors import ConfigError

REQUIRED = "required"
NOTHING = "nothing"
KINDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": NOTHING}

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class FieldRow:
    """One field of the run configuration, in words.

    Attributes
    ----------
    path
        Dotted name of the field, such as ``training.steps``; ``[]`` marks a list of tables, as in ``data.sites[].id``.
    kind
        Type of a value, such as ``whole number`` or ``'lora' or 'ia3'``.
    range
        The permitted values, such as ``1 to 256``; empty if the type permits all.
    default
        The default as in TOML; ``required`` if there is none, ``nothing`` if the field is unset by default.
    description
        What the field does, with its unit.
    """

    path: str
    kind: str
    range: str
    default: str
    description: str


def field_rows() -> tuple[FieldRow, ...]:
    """Return all fields of `RunConfig`, section by section in their written order."""
    schema = RunConfig.model_json_schema()
    return tuple(_rows(schema, schema["$defs"], ""))


def chosen_rows(name: str | None) -> tuple[FieldRow, ...]:
    """Return the fields that a name selects.

    Parameters
    ----------
    name
        A field (``training.steps``), a section (``training``), or None for all fields.

    Raises
    ------
    ConfigError
        No field or section has this name; the message gives the nearest one.
    """
    rows = field_rows()
    if name is None:
        return rows
    paths = {row.path.replace("[]", ""): row for row in rows}
    wanted = name.replace("[]", "").strip(".")
    found = tuple(row for path, row in paths.items() if path == wanted or path.startswith(f"{wanted}."))
    if not found:
        sections = {path.rpartition(".")[0] for path in paths}
        close = difflib.get_close_matches(wanted, [*paths, *sections], n=1, cutoff=0.5)
        nearest = f"; nearest is '{close[0]}'" if close else "; 'hushtune config' lists all fields"
        raise ConfigError(f"unknown field '{name}'{nearest}")
    return found


def markdown(rows: Sequence[FieldRow]) -> str:
    """Return the fields as Markdown: one heading and one table for each section of the run configuration."""
    sections: dict[str, list[FieldRow]] = {}
    for row in rows:
        sections.setdefault(row.path.split(".")[0].removesuffix("[]"), []).append(row)
    return "\n\n".join(_section(name, fields) for name, fields in sections.items()) + "\n"


def _section(name: str, rows: Sequence[FieldRow]) -> str:
    lines = [f"## {name}", "", _about(name), "", "| field | type | range | default | description |", "|---|---|---|---|---|"]
    for row in rows:
        span = row.range.replace("[", "\\[")  # so that Markdown does not read a pattern as a link
        cells = (f"`{row.path}`", row.kind, span, f"`{row.default}`" if row.default else "", row.description)
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _about(name: str) -> str:
    """Return the first paragraph of the docstring of a section's class."""
    kind = section_of(RunConfig.model_fields[name].annotation)
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())


def _rows(section: Schema, known: Mapping[str, Schema], prefix: str) -> Iterator[FieldRow]:
    """Yield the fields of one section, and those of the sections inside it."""
    for name, field in section["properties"].items():
        path, inner = f"{prefix}{name}", _inner(field)
        if inner is not None:
            many = "[]" if field.get("type") == "array" else ""
            yield from _rows(known[inner], known, f"{path}{many}.")
            continue
        default = _default(field["default"]) if "default" in field else REQUIRED
        yield FieldRow(path, _kind(field), _span(field), default, field.get("description", ""))


def _inner(field: Schema) -> str | None:
    """Return the name of the section class that a field holds, directly, in a list or as an option; None for a value."""
    candidates = [field, field.get("items", {}), *field.get("anyOf", ())]
    found = next((each["$ref"] for each in candidates if "$ref" in each), None)
    return found.rpartition("/")[2] if found else None


def _kind(field: Schema) -> str:
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_kind(each) for each in field["anyOf"]))
    if "const" in field or "enum" in field:
        return " or ".join(f"'{value}'" for value in field.get("enum", [field.get("const")]))
    if field.get("type") == "array":
        return f"list of {_kind(field['items'])}"
    return "path" if field.get("format") == "path" else KINDS[field["type"]]


def _span(field: Schema) -> str:
    """Return the permitted values in words."""
    if "anyOf" in field:
        return "; ".join(span for each in field["anyOf"] if (span := _span(each)))
    parts = [_numbers(field)]
    if "pattern" in field:
        parts.append(f"matches {field['pattern']}")
    if field.get("minLength") or field.get("minItems"):
        parts.append("not empty")
    if "maxItems" in field:
        parts.append(f"at most {field['maxItems']}")
    if field.get("type") == "array" and (each := _span(field["items"])):
        parts.append(f"each {each}")
    return ", ".join(part for part in parts if part)


def _numbers(field: Schema) -> str:
    if "minimum" in field and "maximum" in field:
        return f"{_number(field['minimum'])} to {_number(field['maximum'])}"
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    return ", ".join(f"{word} {_number(field[key])}" for key, word in words.items() if key in field)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _default(value: Any) -> str:
    """Return a value as TOML writes it; for these types JSON writes the same."""
    return NOTHING if value is None else json.dumps(value, ensure_ascii=False)
