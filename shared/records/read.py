"""Turn the rows of a site's file into raw records, by the columns that the config maps."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from shared.config.run import RunConfig
from shared.errors import DataError
from shared.records.flatten import is_missing, leaves, plain, written
from shared.records.rows import Row, rows_of
from shared.records.types import RawRecord, Span, canonical, origin, whole

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
DISTINCTIVE = 24  # characters from which a single value in an object or list identifies its record


def read_records(path: Path, config: RunConfig, labelled: bool = True, first: int | None = None) -> list[RawRecord]:
    """Read all records of a site's file, in order, with the columns that the config maps.

    With ``data.label_bins``, a record is left out if its label is missing or outside every bin. This is a fixed rule on
    one record, so it costs no privacy.

    Parameters
    ----------
    path
        A CSV, JSON or Parquet file.
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
    records = [
        record
        for position, row in enumerate(islice(rows_of(path, _mapped(config)), first), start=1)
        if (record := _record(row, position, f"{path}, {row.place}", config, labelled)) is not None
    ]
    if not records:
        raise DataError(f"{path}: no usable record; the file is empty or every label lies outside data.label_bins")
    return records


def _mapped(config: RunConfig) -> frozenset[str]:
    """Return the columns that the config names; no other column is read."""
    columns = config.data.columns
    texts = [name for field in config.task.declared.fields for name in _listed(getattr(columns, field))]
    others = [columns.label, columns.tags, columns.person, columns.spans, config.group_column, *columns.known]
    return frozenset([*texts, *(name for name in others if name)])


def _listed(columns: str | Sequence[str]) -> Sequence[str]:
    return [columns] if isinstance(columns, str) else columns


def _record(row: Row, position: int, where: str, config: RunConfig, labelled: bool) -> RawRecord | None:
    """Return one row as a record, or None if its numeric label is missing or outside every bin."""
    columns = config.data.columns
    names = config.task.declared.fields
    fields = {name: _cut(_text(row, name, where, config), config.data.cut_chars) for name in names}
    label = None
    if config.task.declared.target == "label":
        label = _label(row, where, config) if labelled else plain(row.values.get(columns.label))
        if label is None:
            return None
    spans = {names[0]: _spans(row, columns.spans, where)} if columns.spans else {}
    tagged = config.task.declared.target == "tags"
    tags = _tags(row, len(fields[names[0]]), where, config, labelled) if tagged else ()
    person = _person(row, columns.person, where) if columns.person else None
    known = [value for name in columns.known for value in _known(row, name, where)] + ([whole(person)] if person else [])
    texts = [text for name in names for text in _identifying_texts(row, name, where, config)]
    return RawRecord(fields, label, position, spans, origin(texts), person, tuple(known), _group(row, config), tags)


def _group(row: Row, config: RunConfig) -> str | None:
    """Return the declared group, which a record may lack."""
    return plain(row.values.get(config.group_column)) or None if config.group_column else None


def _text(row: Row, field: str, where: str, config: RunConfig) -> str:
    """Return the text of a field; several columns, an object or a list become lines of names and values."""
    columns, key = getattr(config.data.columns, field), f"data.columns.{field}"
    if not isinstance(columns, str):
        return "\n".join(written({column: _value(row, column, key, where)}) for column in columns)
    value = _value(row, columns, key, where)
    if isinstance(value, dict | list):
        return written(value)
    if not isinstance(value, str):
        raise DataError(f"{where}: column '{columns}' holds {type(value).__name__}, not text; map another column to {field}")
    return value


def _identifying_texts(row: Row, field: str, where: str, config: RunConfig) -> Iterator[str]:
    """Yield the texts by which the ledger recognises the record when it is used again, whatever the names of the columns.

    Each mapped column gives its value. An object or list gives all its values together, sorted because file formats differ
    in their order; the longest value; and each value that is long enough to identify the record, because it may be in a
    column of its own next time.
    """
    for column in _listed(getattr(config.data.columns, field)):
        values = sorted({value for _, value in leaves(_value(row, column, f"data.columns.{field}", where))})
        if values:
            yield "\n".join(values)
            yield max(values, key=len)
            yield from (value for value in values if len(value) >= DISTINCTIVE)


def _known(row: Row, column: str, where: str) -> list[str]:
    """Return the values in a column, without names, in the form in which a text may repeat them; leading zeros stay."""
    return [whole(leaf) for _, leaf in leaves(_value(row, column, "data.columns.known", where))]


def _value(row: Row, column: str, key: str, where: str) -> Any:
    if column not in row.values:
        # If a file has no header line, its column names are its first record, so they are not printed.
        commas = ", and separate the cells with commas" if row.width == 1 else ""
        raise DataError(f"{where}: no column '{column}' among the file's {row.width}; set {key} to the right name{commas}")
    return row.values[column]


def _person(row: Row, column: str, where: str) -> str:
    """Return the person of a record; refuse an empty cell, because all records without a person would form one unit."""
    value = _value(row, column, "data.columns.person", where)
    if isinstance(value, dict | list | bytes):
        raise DataError(
            f"{where}: column '{column}' holds {type(value).__name__}, not an id; map another to data.columns.person"
        )
    if not canonical(plain(value)):
        raise DataError(
            f"{where}: column '{column}' is empty; fill in the person of the record, or unset data.columns.person"
        )
    return plain(value)


def _cut(text: str, limit: int) -> str:
    """Cut a text at the last space before the limit; at the limit itself if its second half has no space."""
    if len(text) <= limit:
        return text
    head = text[:limit]
    return head[: head.rfind(" ")] if " " in head[limit // 2 :] else head


def _label(row: Row, where: str, config: RunConfig) -> str | None:
    """Return the label as written, or the bin of a numeric label (None if it is missing or in no bin)."""
    column = config.data.columns.label
    value = _value(row, column, "data.columns.label", where)
    if not config.data.label_bins:
        for found in (str(value), plain(value)):  # a whole number may have become 1.0 in a column with gaps
            if found in config.task.labels:
                return found
        raise DataError(f"{where}: its label is not in task.labels ({', '.join(config.task.labels)}); correct either")
    if is_missing(value):
        return None
    number = plain(value).strip()
    if isinstance(value, bool) or not NUMBER.fullmatch(number):
        raise DataError(f"{where}: column '{column}' is not a number, which data.label_bins needs; write it like 3 or 2.5")
    return next((bin_.label for bin_ in config.data.label_bins if bin_.low <= float(number) <= bin_.high), None)


def _tags(row: Row, size: int, where: str, config: RunConfig, labelled: bool) -> tuple[Span, ...]:
    """Return the labelled spans in reading order, cut to the first ``size`` characters, which were kept of the text."""
    column = config.data.columns.tags
    value = _value(row, column, "data.columns.tags", where)
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
    value = _value(row, column, "data.columns.spans", where)
    spans = _parsed_spans(value)
    if spans is None:
        raise DataError(
            f"{where}: column '{column}' is not a list of {{label, start, end}}; correct it or unset data.columns.spans"
        )
    return spans


def _parsed_spans(value: Any) -> tuple[Span, ...] | None:
    try:
        return tuple(Span(str(item["label"]), int(item["start"]), int(item["end"])) for item in value or ())
    except (KeyError, TypeError, ValueError):
        return None
