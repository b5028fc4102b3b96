"""From a site's file to raw records: JSON lines, CSV or Parquet through datasets, with nothing cached on disk."""

import codecs
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.config import RunConfig
from shared.errors import DataError
from shared.outline import leaves, written
from shared.record import RawRecord, Span, origin

FORMATS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}
FIELDS = {"classification": ("text",), "instruction": ("instruction", "response")}


def read_records(path: Path, config: RunConfig, labelled: bool = True) -> list[RawRecord]:
    """All records of a site's file, in order, with the columns that the config maps.

    ``labelled=False`` takes any label as it stands, or none.
    A numeric label outside every bin leaves its record out: a fixed rule on one record, which costs no privacy.

    Raises:
        DataError: the file is missing, empty, of another format or encoding, lacks a column, or holds a wrong type or
            a label outside the label set. The message names the place, never the text.
    """
    _check_file(path)
    records = [
        record
        for position, row in enumerate(_rows(path), start=1)
        if (record := _record(row, position, path, config, labelled)) is not None
    ]
    if not records:
        raise DataError(f"{path}: no usable record; the file is empty or every label lies outside data.label_bins")
    return records


def _check_file(path: Path) -> None:
    """Say in one line what is wrong with the file, before any library meets it."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; check data.root and the site's file")
    if path.suffix not in FORMATS:
        raise DataError(f"{path}: unknown format '{path.suffix}'; give .jsonl, .csv or .parquet")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; give a file with records")
    if FORMATS[path.suffix] != "parquet":
        _check_text(path)


def _check_text(path: Path) -> None:
    """Find the first byte that is no UTF-8 text."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            if b"\0" in chunk:
                raise DataError(f"{path}: a binary file (NUL at byte {offset + chunk.index(0)}); give UTF-8 text")
            bad = _bad_byte(decoder, chunk)
            if bad is not None:
                raise DataError(f"{path}: not UTF-8 near byte {offset + bad}; save the file as UTF-8")
            offset += len(chunk)
    if _bad_byte(decoder, b"", final=True) is not None:
        raise DataError(f"{path}: not UTF-8 at its last bytes; save the file as UTF-8")


def _bad_byte(decoder: codecs.IncrementalDecoder, chunk: bytes, final: bool = False) -> int | None:
    """Where a chunk stops being UTF-8; the decoder's own error holds the text, so it does not get out of here."""
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError as error:
        return error.start
    return None


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The file's rows, streamed: datasets would otherwise leave a plain-text copy in its cache."""
    import datasets
    from datasets.exceptions import DatasetGenerationError

    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # its own lines may quote the text
    failure = ""
    try:
        yield from datasets.load_dataset(FORMATS[path.suffix], data_files=str(path), split="train", streaming=True)
    except (ValueError, TypeError, OSError, RecursionError, DatasetGenerationError) as error:
        failure = type(error).__name__
    if failure:  # raised here, so that the cause, which may quote the text, is not its context
        place = _first_bad_line(path) if FORMATS[path.suffix] == "json" else ""
        raise DataError(f"{path}: not readable as {path.suffix[1:]}{place} ({failure}); mend the file")


def _first_bad_line(path: Path) -> str:
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                if line.strip() and not isinstance(json.loads(line), dict):
                    return f" at line {number}"
            except (json.JSONDecodeError, RecursionError):
                return f" at line {number}"
    return ""


def _record(row: Mapping[str, Any], position: int, path: Path, config: RunConfig, labelled: bool) -> RawRecord | None:
    """One row as a record, or None where its numeric label lies outside every bin."""
    where = f"{path}, record {position}"
    columns = config.data.columns
    names = FIELDS[config.task.name]
    parts = {name: _parts(row, getattr(columns, name), name, where) for name in names}
    whole = {name: "\n".join(texts) for name, texts in parts.items()}
    fields = {name: _cut(text, config.data.cut_chars) for name, text in whole.items()}
    label = None
    if config.task.name == "classification":
        label = _label(row, where, config) if labelled else str(row.get(columns.label, ""))
        if label is None:
            return None
    spans = {names[0]: _spans(row, columns.spans, where)} if columns.spans else {}
    person = _person(row, columns.person, where) if columns.person else None
    known = [value for name in columns.known for value in _leaves(row, name, where)] + ([person] if person else [])
    # The longest part as well: the record is known again when other columns are mapped beside it.
    texts = dict.fromkeys([*whole.values(), *(max(part, key=len) for part in parts.values())])
    return RawRecord(fields, label, position, spans, origin(list(texts)), person, tuple(known), _group(row, config))


def _group(row: Mapping[str, Any], config: RunConfig) -> str | None:
    """The declared group, which records need not have."""
    column = config.group_column
    value = row.get(column) if column else None
    return None if value is None else str(value)


def _parts(row: Mapping[str, Any], columns: str | Sequence[str], field: str, where: str) -> list[str]:
    """The text of a field, in one part for each of its columns; several columns, objects and lists are written out."""
    if isinstance(columns, str):
        value = _value(row, columns, f"data.columns.{field}", where)
        return [written(value) if isinstance(value, dict | list) else _text(value, columns, field, where)]
    return [written({column: _value(row, column, f"data.columns.{field}", where)}) for column in columns]


def _leaves(row: Mapping[str, Any], column: str, where: str) -> list[str]:
    """The values in a column, without their names."""
    return [leaf for _, leaf in leaves(_value(row, column, "data.columns.known", where))]


def _text(value: Any, column: str, field: str, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: column '{column}' holds {type(value).__name__}, not text; map another column to {field}")
    return value


def _value(row: Mapping[str, Any], column: str, key: str, where: str) -> Any:
    if column not in row:
        # The names of a file without a header line are its first record, so they are not printed.
        raise DataError(f"{where}: no column '{column}' among the file's {len(row)}; set {key} to the right name")
    return row[column]


def _person(row: Mapping[str, Any], column: str, where: str) -> str:
    """Whose record it is; an empty cell is refused, or all records without a person would count as one person's."""
    value = _value(row, column, "data.columns.person", where)
    if value is None or not str(value).strip():
        raise DataError(f"{where}: column '{column}' is empty; say whose the record is, or unset data.columns.person")
    return str(value)


def _cut(text: str, limit: int) -> str:
    """Cut at the last space before the limit."""
    if len(text) <= limit:
        return text
    head = text[:limit]
    return head[: head.rfind(" ")] if " " in head[limit // 2 :] else head


def _label(row: Mapping[str, Any], where: str, config: RunConfig) -> str | None:
    """The label as it stands, or the bin that a numeric one falls in (None: in no bin)."""
    column = config.data.columns.label
    value = _value(row, column, "data.columns.label", where)
    if not config.data.label_bins:
        if str(value) not in config.task.labels:
            raise DataError(f"{where}: its label is not in task.labels ({', '.join(config.task.labels)}); mend either")
        return str(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{where}: column '{column}' is no number, which data.label_bins needs")
    return next((bin_.label for bin_ in config.data.label_bins if bin_.low <= value <= bin_.high), None)


def _spans(row: Mapping[str, Any], column: str, where: str) -> tuple[Span, ...]:
    value = _value(row, column, "data.columns.spans", where)
    spans = _parsed_spans(value)
    if spans is None:
        raise DataError(
            f"{where}: column '{column}' is no list of {{label, start, end}}; mend it or unset data.columns.spans"
        )
    return spans


def _parsed_spans(value: Any) -> tuple[Span, ...] | None:
    try:
        return tuple(Span(str(item["label"]), int(item["start"]), int(item["end"])) for item in value or ())
    except (KeyError, TypeError, ValueError):
        return None
