"""Describe how hushtune reads a file of records, for the site's own terminal: form, columns, labels and lengths."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from client.site_file import SiteFile
from privacy.detect.languages.identify import UNKNOWN, identifier
from privacy.detect.normalise import normalise
from privacy.detect.unfit import UnfitText
from shared.config.run import RunConfig
from shared.config.toml import read_toml
from shared.errors import ConfigError, DataError, ModelError
from shared.records.delimited import DELIMITERS, table_of
from shared.records.encoding import encoding_of
from shared.records.flatten import is_missing
from shared.records.read import mapped_columns, needed_columns, read_records
from shared.records.row import Row
from shared.records.rows import format_of, rows_of
from shared.records.types import RawRecord

NAMES = {"utf-8-sig": "UTF-8", "utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "utf-32": "UTF-32"}
TYPES = {"str": "text", "int": "number", "float": "number", "bool": "truth value", "dict": "object", "NoneType": "nothing"}


@dataclass(frozen=True)
class Asked:
    """What a config says about a file: how its records are read, and whether the config names the run's base model."""

    config: RunConfig
    names_model: bool

    @classmethod
    def load(cls, path: Path, overrides: Sequence[str]) -> "Asked":
        """Read a run's config, or a site's own file (one with a section ``site``), by the first task of its policy.

        Parameters
        ----------
        path, overrides
            The TOML file, and changes of its fields.

        Raises
        ------
        ConfigError
            The file, an override or a value cannot be used.
        """
        if "site" in read_toml(path) and not overrides:
            file = SiteFile.load(path)
            task = next(iter(file.policy.tasks), None)
            if task is None:
                raise ConfigError(f"{path}: policy.tasks: names no task; name one")
            return cls(file.reading(task, str(path)), names_model=False)
        return cls(RunConfig.load(path, overrides), names_model=True)


def check_file(path: Path, asked: Asked, most: int) -> dict[str, Any]:
    """Read the beginning of a file and return what was understood, with counts and without any text of a record.

    Parameters
    ----------
    path
        The file of records.
    asked
        What the config says about such files.
    most
        Number of records to read.

    Returns
    -------
    dict
        Plain values. ``problem`` is the sentence with which a run would refuse the file, or None.

    Raises
    ------
    DataError
        The file is missing, empty, or of an unknown format or encoding.
    """
    config = asked.config
    form, wanted = _form(path, config), mapped_columns(config)
    try:
        rows = list(islice(rows_of(path, wanted), most))
        records = read_records(path, config, first=most)
    except DataError as error:
        return {"file": str(path), **form, "problem": str(error)}
    seen = Counter(name for row in rows for name in row.columns)
    return {
        "file": str(path),
        **form,
        "problem": None,
        "records": len(rows),
        "whole": len(rows) < most,
        "columns": {name: _column(name, field, rows) for name, field in needed_columns(config).items()},
        # A name that few objects have may be a value, such as a person's name.
        "not_read": [name for name, count in seen.items() if name not in wanted and 2 * count >= len(rows)],
        "labels": _labels(records, config),
        "persons": len({record.person for record in records} - {None}) if config.data.columns.person else None,
        "held_back": _held_back(records),
        "languages": {"asked": config.anonymise.language, "found": _languages(records)},
        "characters": _lengths([sum(map(len, record.fields.values())) for record in records], None),
        "tokens": _tokens(records, config) if asked.names_model else None,
    }


def _form(path: Path, config: RunConfig) -> dict[str, Any]:
    kind = format_of(path)
    encoding = encoding_of(path) if kind in ("csv", "json") else None
    delimiter = table_of(path, encoding, mapped_columns(config)).delimiter if kind == "csv" and encoding else None
    named = DELIMITERS.get(delimiter, delimiter) if delimiter else None
    return {"format": kind, "encoding": NAMES[encoding] if encoding else None, "delimiter": named}


def _column(name: str, field: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Return the types of a column's values, and how many are empty."""
    values = [row.values.get(name) for row in rows]
    kinds = Counter(TYPES.get(type(value).__name__, type(value).__name__) for value in values if not is_missing(value))
    return {"field": field, "types": dict(kinds.most_common()), "empty": sum(map(is_missing, values))}


def _labels(records: Sequence[RawRecord], config: RunConfig) -> dict[str, int] | None:
    """Return how many records (or tags) have each label, also labels that none has; None for a task without labels."""
    if not config.task.labels:
        return None
    found = Counter(label for record in records for label in _labels_of(record))
    return {label: found[label] for label in config.task.labels}


def _labels_of(record: RawRecord) -> Iterator[str]:
    yield from ([record.label] if record.label is not None else [])
    yield from (tag.label for tag in record.tags or ())


def _held_back(records: Sequence[RawRecord]) -> dict[str, int]:
    """Count the records that would be held back for another reason than the content of their texts."""
    empty = sum(not all(map(str.strip, record.fields.values())) for record in records)
    lacking = Counter(f"no {record.lacks}" for record in records if record.lacks)
    return ({"empty": empty} if empty else {}) | dict(sorted(lacking.items()))


def _languages(records: Sequence[RawRecord]) -> dict[str, int]:
    """Count the records by language, the most frequent first; a record whose language is not sure counts as such."""
    return dict(Counter(_language_of(record) or "not sure" for record in records).most_common())


def _language_of(record: RawRecord) -> str:
    try:
        return identifier().language_of("\n".join(map(normalise, record.fields.values())))
    except UnfitText:
        return UNKNOWN


def _lengths(values: Sequence[int], limit: int | None) -> dict[str, Any]:
    """Return the median, the longest and the length that 95 % do not exceed; with a limit, how many exceed it."""
    ordered = sorted(values) or [0]
    at = {name: ordered[int(share * (len(ordered) - 1))] for name, share in (("median", 0.5), ("most", 0.95))}
    above = {} if limit is None else {"limit": limit, "cut": sum(value > limit for value in values)}
    return at | {"longest": ordered[-1]} | above


def _tokens(records: Sequence[RawRecord], config: RunConfig) -> Mapping[str, Any]:
    """Return the lengths of the raw texts in tokens of the run's model, whose weights are not loaded."""
    from shared.models.load import outline
    from shared.tasks import TASKS

    try:
        tokenizer = outline(config.model, TASKS[config.task.name].kind).tokenizer
    except ModelError as error:
        return {"unknown": str(error)}
    sizes = [sum(len(tokenizer.encode(text)) for text in record.fields.values()) for record in records]
    return _lengths(sizes, config.model.max_length)
