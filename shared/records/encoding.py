"""Find the encoding of a text file from its first bytes, and refuse a file that is not wholly in that encoding.

Only the first bytes decide, which are a byte order mark or the start of a header. If the encoding were guessed from the
whole file, one record could change how all others are read, which no noise covers.
"""

import codecs
from pathlib import Path

from shared.errors import DataError

UTF_8 = "utf-8-sig"  # leaves out a byte order mark if there is one
MARKS = (  # the longer marks first, because that of UTF-16 begins that of UTF-32
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BARE = {"x0x0": "utf-16-le", "0x0x": "utf-16-be"}  # where the zero bytes of two ASCII characters stand without a mark
CHUNK = 1 << 20


def encoding_of(path: Path) -> str:
    """Return the encoding of a text file: UTF-8, UTF-16 or UTF-32.

    Parameters
    ----------
    path
        A CSV or JSON file, whose first two characters are ASCII if it has no byte order mark.

    Returns
    -------
    str
        Name of a codec.

    Raises
    ------
    DataError
        The file is binary, or not wholly in its encoding; the message names the line, never the text.
    """
    with path.open("rb") as stream:
        encoding = announced(stream.read(4))
        stream.seek(0)
        decoder, lines = codecs.getincrementaldecoder(encoding)(), 1
        while chunk := stream.read(CHUNK):
            lines += _lines(path, encoding, decoder, chunk, lines)
        _lines(path, encoding, decoder, b"", lines)
    return encoding


def announced(start: bytes) -> str:
    """Return the encoding that the first four bytes of a file announce; UTF-8 if they announce none."""
    marked = next((name for mark, name in MARKS if start.startswith(mark)), None)
    if marked:
        return marked
    return BARE.get("".join("0" if byte == 0 else "x" for byte in start), UTF_8)


def _lines(path: Path, encoding: str, decoder: codecs.IncrementalDecoder, chunk: bytes, first: int) -> int:
    """Return the number of line ends in a chunk whose first line has the number ``first``; an empty chunk ends the file."""
    text, wrong = "", None
    try:
        text = decoder.decode(chunk, final=not chunk)
    except UnicodeDecodeError as error:
        wrong = first + error.object[: error.start].count(b"\n")  # the error itself is dropped, because it quotes the text
    if wrong is not None and encoding != UTF_8:
        name = encoding.upper()
        raise DataError(f"{path}: its first bytes say {name}, and others are not; save the file as UTF-8")
    if wrong is not None:
        raise DataError(
            f"{path}, line {wrong}: not UTF-8, perhaps Windows-1252 (cp1252), in which older programs write; save the file "
            "as UTF-8 (in Excel: 'CSV UTF-8')"
        )
    if "\0" in text:
        line = first + text[: text.index("\0")].count("\n")
        raise DataError(f"{path}, line {line}: a NUL character, so this is a binary file or damaged; give a text file")
    return text.count("\n")
