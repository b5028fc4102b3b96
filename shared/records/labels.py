"""Read the labels that occur in a public file, so that a config need not list them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.errors import DataError
from shared.records.flatten import as_text, says_missing
from shared.records.rows import rows_of

FROM_FILE = "evaluation.file"  # instead of a list in task.labels
MOST = 1000  # with more different values, the column is probably a text


def read_labels(path: Path, column: str) -> list[str]:
    """Return the different labels, or labels of tags, in a column of a file that may be published, sorted.

    Raises
    ------
    DataError
        The file cannot be read, or its column holds no labels.
    """
    labels = sorted({label for row in rows_of(path, {column}) for label in _labels(row.values.get(column))})
    if not 0 < len(labels) <= MOST:
        raise DataError(f"{path}: column '{column}' has {len(labels)} different labels; name the column with the labels")
    return labels


def _labels(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        yield from (str(tag["label"]) for tag in value if isinstance(tag, dict) and "label" in tag)
    elif not says_missing(value):
        yield as_text(value)
