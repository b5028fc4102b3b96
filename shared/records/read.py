"""Turn the rows of a site's file into raw records, by the columns that the config maps."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from shared.config.run import RunConfig
from shared.errors import DataError
from shared.records.flatten import as_text, is_missing, leaves, nested_as_text, says_missing
from shared.records.row import Row
from shared.records.rows import rows_of
from shared.records.types import RawRecord, Span, canonical, origin, without_point

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
DISTINCTIVE = 24  # characters from which a single value in an object or list identifies its record


def read_records(path: Path, config: RunConfig, labelled: bool = True, first: int | None = None) -> list[RawRecord]:
    """Read the records of a site's file, in order, with the columns that the config maps.

    With ``data.label_bins``, a record is left out if its label is missing or outside every bin. A record without a text,
    label or person is returned, and the anonymiser holds it back. These are fixed rules on one record, so they cost no
    privacy.

    Parameters
    ----------
    path
        A CSV, JSON, Parquet or Excel file.
    config
        The run's config with the site's own columns.
    labelled
        Whether each record needs a label of ``task.labels``; otherwise it may have any label or none.
    first
        Number of rows to read, for a check of the file; all by default.

    Raises
    ------
    DataError
        The file is missing, empty, of another format or encoding, lacks a column, or holds a wrong type or a label
        outside the label set. The message names the place, never the text.
    """
    needed, seen = needed_columns(config, labelled), set[str]()
    records: list[RawRecord] = []
    for position, row in enumerate(islice(rows_of(path, mapped_columns(config)), first), start=1):
        where = f"{path}, {row.place}"
        try:
            record = _record(row, position, where, config, labelled)
        except RecursionError:
            raise DataError(f"{where}: holds lists or objects in each other, too deep to read; flatten them") from None
        if record is not None:
            records.append(record)
        seen.update(row.columns)
    lacking = next((column for column in needed if seen and column not in seen), None)
    if lacking is not None:
        # If a file has no header line, its column names are its first record, so they are not printed.
        raise DataError(
            f"{path}: no column '{lacking}' among the file's {len(seen)}; set {needed[lacking]} to the right name"
        )
    if not records:
        raise DataError(f"{path}: no usable record; the file is empty or every label lies outside data.label_bins")
    return records


def mapped_columns(config: RunConfig) -> frozenset[str]:
    """Return the columns that the config, with the site's own columns, names; no other column is read."""
    columns = config.data.columns
    others = (columns.label, columns.tags, config.group_column)
    return frozenset([*needed_columns(config, labelled=False), *(name for name in others if name)])


def needed_columns(config: RunConfig, labelled: bool = True) -> Mapping[str, str]:
    """Map each column that a file must have to the field of the config that names it.

    Parameters
    ----------
    config
        The run's config with the site's own columns.
    labelled
        Whether the label (or the tags) of the task is needed.
    """
    columns, task = config.data.columns, config.task.declared
    fields = [*task.fields, *([task.target] if labelled and task.target != "text" else []), "person", "spans", "known"]
    return {name: f"data.columns.{field}" for field in fields for name in _listed(getattr(columns, field) or ())}


def _listed(columns: str | Sequence[str]) -> Sequence[str]:
    return [columns] if isinstance(columns, str) else columns


def _record(row: Row, position: int, where: str, config: RunConfig, labelled: bool) -> RawRecord | None:
    """Return one row as a record, or None if its numeric label is missing or outside every bin."""
    columns, task = config.data.columns, config.task.declared
    names = task.fields
    fields = {name: _cut(_text(row, name, where, config), config.data.cut_chars) for name in names}
    label = None
    if task.target == "label":
        label = _label(row, where, config) if labelled else as_text(row.values.get(columns.label))
        if label is None and config.data.label_bins:
            return None
    spans = {names[0]: _spans(row, columns.spans, where)} if columns.spans else {}
    tags = _tags(row, len(fields[names[0]]), where, config, labelled) if task.target == "tags" else ()
    person = _person(row, columns.person, where) if columns.person else None
    has_target = {"label": label is not None, "tags": tags is not None, "text": True}[task.target]
    lacks: Literal["label", "person"] | None = "person" if columns.person and person is None else None
    if labelled and not has_target:
        lacks = "label"
    known = [value for name in columns.known for value in _known(row, name)] + ([without_point(person)] if person else [])
    texts = [text for name in names for text in _identifying_texts(row, name, config)]
    return RawRecord(fields, label, position, spans, origin(texts), person, tuple(known), _group(row, config), tags, lacks)


def _group(row: Row, config: RunConfig) -> str | None:
    """Return the declared group, which a record may lack."""
    return as_text(row.values.get(config.group_column)) or None if config.group_column else None


def _text(row: Row, field: str, where: str, config: RunConfig) -> str:
    """Return the text of a field; several columns, an object or a list become lines of names and values."""
    columns = getattr(config.data.columns, field)
    if not isinstance(columns, str):
        return "\n".join(nested_as_text({column: row.values.get(column)}) for column in columns)
    value = row.values.get(columns)
    if isinstance(value, dict | list):
        return nested_as_text(value)
    if is_missing(value):
        return ""
    if not isinstance(value, str):
        raise DataError(f"{where}: column '{columns}' holds {type(value).__name__}, not text; map another column to {field}")
    return value


def _identifying_texts(row: Row, field: str, config: RunConfig) -> Iterator[str]:
    """Yield the texts by which the ledger recognises the record when it is used again, whatever the names of the columns.

    Each mapped column gives its value. An object or list gives all its values together, sorted because file formats differ
    in their order; the longest value; and each value that is long enough to identify the record, because it may be in a
    column of its own next time.
    """
    for column in _listed(getattr(config.data.columns, field)):
        values = sorted({value for _, value in leaves(row.values.get(column))})
        if values:
            yield "\n".join(values)
            yield max(values, key=len)
            yield from (value for value in values if len(value) >= DISTINCTIVE)


def _known(row: Row, column: str) -> list[str]:
    """Return the values in a column, without names, in the form in which a text may repeat them; leading zeros stay."""
    return [without_point(leaf) for _, leaf in leaves(row.values.get(column))]


def _person(row: Row, column: str, where: str) -> str | None:
    """Return the person of a record; None if the cell names nobody, because all such records would form one unit.

    A point in time is refused: reading cuts its nanoseconds off, so two persons could become one unit.
    """
    value = row.values.get(column)
    if isinstance(value, dict | list | bytes | datetime | time | timedelta):
        raise DataError(
            f"{where}: column '{column}' holds {type(value).__name__}, not an id; map another to data.columns.person"
        )
    return as_text(value) if canonical(as_text(value)) and not says_missing(value) else None


def _cut(text: str, limit: int) -> str:
    """Cut a text at the last space before the limit; at the limit itself if its second half has no space."""
    if len(text) <= limit:
        return text
    head = text[:limit]
    return head[: head.rfind(" ")] if " " in head[limit // 2 :] else head


def _label(row: Row, where: str, config: RunConfig) -> str | None:
    """Return the label as written, or the bin of a numeric label; None if it is missing or in no bin."""
    column = config.data.columns.label
    value = row.values.get(column)
    if not config.data.label_bins:
        for found in (str(value), as_text(value)):  # a whole number may have become 1.0 in a column with gaps
            if found in config.task.labels:
                return found
        if says_missing(value):
            return None
        raise DataError(f"{where}: its label is not in task.labels ({', '.join(config.task.labels)}); correct either")
    if is_missing(value):
        return None
    number = as_text(value).strip()
    if isinstance(value, bool) or not NUMBER.fullmatch(number):
        raise DataError(f"{where}: column '{column}' is not a number, which data.label_bins needs; write it like 3 or 2.5")
    return next((bin_.label for bin_ in config.data.label_bins if bin_.low <= float(number) <= bin_.high), None)


def _tags(row: Row, size: int, where: str, config: RunConfig, labelled: bool) -> tuple[Span, ...] | None:
    """Return the labelled spans in reading order, cut to the first ``size`` characters, which were kept of the text.

    None stands for tags that are missing, which a text without tags, an empty list, is not.
    """
    column = config.data.columns.tags
    value = row.values.get(column)
    if says_missing(value):
        return None
    tags = _parsed_spans(value)
    if tags is None:
        raise DataError(
            f"{where}: column '{column}' is not a list of {{label, start, end}}; map another to data.columns.tags"
        )
    tags = tuple(sorted(tags, key=lambda tag: (tag.start, tag.end)))
    if labelled and any(tag.label not in config.task.labels for tag in tags):
        raise DataError(f"{where}: a tag's label is not in task.labels ({', '.join(config.task.labels)}); correct either")
    text = _text(row, config.task.declared.fields[0], where, config)
    ends = [0, *(tag.end for tag in tags)]
    if any(tag.start < end or tag.start >= tag.end for tag, end in zip(tags, ends, strict=False)) or ends[-1] > len(text):
        raise DataError(f"{where}: column '{column}' has tags that are empty, overlap or lie outside the text; correct them")
    return tuple(replace(tag, end=min(tag.end, size)) for tag in tags if tag.start < size)


def _spans(row: Row, column: str, where: str) -> tuple[Span, ...]:
    spans = _parsed_spans(row.values.get(column))
    if spans is None:
        raise DataError(
            f"{where}: column '{column}' is not a list of {{label, start, end}}; correct it or unset data.columns.spans"
        )
    return spans


def _parsed_spans(value: Any) -> tuple[Span, ...] | None:
    try:
        return tuple(Span(str(item["label"]), int(item["start"]), int(item["end"])) for item in value or ())
    except (KeyError, TypeError, ValueError, OverflowError):  # the last for a start or an end that is infinite
        return None
