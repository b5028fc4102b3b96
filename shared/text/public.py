"""Read public texts of the operator: JSON lines with ``text`` and, if needed, ``label``."""

import json
from pathlib import Path

from shared.errors import DataError

Text = tuple[str, str | None]


def read_texts(file: Path, labelled: bool = False) -> list[Text]:
    """Read the text of each line, with its label or None.

    Parameters
    ----------
    file
        JSON lines in UTF-8.
    labelled
        Whether each line needs a label.

    Raises
    ------
    DataError
        The file is missing or empty, or a line has no text, or no label where one is needed.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: not readable as UTF-8 ({type(error).__name__}); give JSON lines with 'text'") from error
    found = [_text(line, f"{file}, line {number}", labelled) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise DataError(f"{file}: no text in it; give JSON lines with 'text'")
    return found


def _text(line: str, where: str, labelled: bool) -> Text:
    try:
        row = json.loads(line)
        text, label = row["text"], row["label"] if labelled else None
    except (ValueError, KeyError, TypeError, RecursionError):
        text = label = None
    if not isinstance(text, str) or not text.strip() or (labelled and not isinstance(label, str)):
        needs = "'text' and 'label'" if labelled else "'text'"
        raise DataError(f"{where}: no JSON object with {needs} as text; correct it")
    return text, label
