"""Read public texts of the operator: rows with ``text`` and, if needed, ``label``, mostly JSON lines."""

from pathlib import Path

from shared.errors import DataError
from shared.records.row import Row
from shared.records.rows import rows_of

Text = tuple[str, str | None]


def read_texts(file: Path, labelled: bool = False) -> list[Text]:
    """Read the text of each row, with its label or None.

    Parameters
    ----------
    file
        A file in any format of records.
    labelled
        Whether each row needs a label.

    Raises
    ------
    DataError
        The file is missing or empty, or a row has no text, or no label where one is needed.
    """
    rows = rows_of(file, {"text", "label"} if labelled else {"text"})
    found = [_text(row, f"{file}, {row.place}", labelled) for row in rows]
    if not found:
        raise DataError(f"{file}: no text in it; give JSON lines with 'text'")
    return found


def _text(row: Row, where: str, labelled: bool) -> Text:
    text, label = row.values.get("text"), row.values.get("label") if labelled else None
    if not isinstance(text, str) or not text.strip() or (labelled and not isinstance(label, str)):
        needs = "'text' and 'label' as texts" if labelled else "'text' as a text"
        raise DataError(f"{where}: does not have {needs}; correct it")
    return text, label
