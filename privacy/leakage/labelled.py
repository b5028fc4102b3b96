"""Read the texts of a score: texts with known personal data, and texts with marked terms that must stay."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from shared.errors import DataError
from shared.records.types import Span

Texts = Sequence[tuple[str, tuple[Span, ...]]]
# The label of a term that must stay.
TERM = "TERM"
MARKED = re.compile(r"\[\[(.+?)\]\]")
# Labels are printed, so a label must look like one, and not like the text of a record.
LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")


def read_labelled(path: Path) -> Texts:
    """Read texts and their true spans from JSON lines ``{"text", "spans": [{"label", "start", "end"}]}``.

    Parameters
    ----------
    path
        The file, in UTF-8; ``start`` and ``end`` count characters, and ``end`` is excluded.

    Returns
    -------
    list of (str, tuple of Span)
        The texts in the order of the file; empty lines are skipped.

    Raises
    ------
    DataError
        The file is missing or a line is not of this form; the message has the line's number, never its text.
    """
    texts = []
    for number, line in _lines(path):
        try:
            row = json.loads(line)
            text, spans = _text(row), tuple(Span(str(s["label"]), int(s["start"]), int(s["end"])) for s in row["spans"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise DataError(f"{path}, line {number}: not {{text, spans: [{{label, start, end}}]}}; correct it") from None
        if not all(0 <= s.start < s.end <= len(text) and LABEL.fullmatch(s.label) for s in spans):
            raise DataError(
                f"{path}, line {number}: a span lies outside the text, is empty, or has a label that is not one word of at "
                "most 40 letters, digits and underscores; correct it"
            )
        texts.append((text, spans))
    return _some(path, texts)


def read_harmless(path: Path) -> Texts:
    """Read texts in which each term that must stay is marked: ``Her [[Parkinson's disease]] got worse.``.

    Parameters
    ----------
    path
        The file, in UTF-8: one text a line, plain or as JSON ``{"text": ...}``.

    Returns
    -------
    list of (str, tuple of Span)
        The texts without the marks, and the places of the terms.

    Raises
    ------
    DataError
        The file is missing, or a line has no marked term; the message has the line's number, never its text.
    """
    texts = []
    for number, line in _lines(path):
        try:
            text, spans = _unmarked(_text(json.loads(line)) if line.startswith("{") else line)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise DataError(f"{path}, line {number}: begins with a brace and is not {{text}}; correct it") from None
        if not spans:
            raise DataError(f"{path}, line {number}: no term is marked; write [[ and ]] around each term that must stay")
        texts.append((text, spans))
    return _some(path, texts)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each line that is not blank, with its number from 1."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path}: cannot be read as UTF-8 text; give a file with one text a line") from None
    yield from ((number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip())


def _some(path: Path, texts: Texts) -> Texts:
    if not texts:
        raise DataError(f"{path}: holds no text; give a file with one text a line")
    return texts


def _text(row: Any) -> str:
    if not isinstance(row["text"], str):
        raise TypeError
    return str(row["text"])


def _unmarked(line: str) -> tuple[str, tuple[Span, ...]]:
    """Return a line without its marks, and the places of the marked terms."""
    text, spans, at = "", [], 0
    for match in MARKED.finditer(line):
        text += line[at : match.start()]
        spans.append(Span(TERM, len(text), len(text) + len(match[1])))
        text, at = text + match[1], match.end()
    return text + line[at:], tuple(spans)
