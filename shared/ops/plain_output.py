"""Print on any console: a character that its encoding lacks is replaced by plain ones, such as x for a multiplication sign.

Under cron, in a container without a locale, or on an old terminal, the encoding is often ASCII.
"""

import codecs
import io
import sys
import unicodedata

PLAIN = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\u207b\u208b\u2500\u2501", "-"),
    **dict.fromkeys("\u2018\u2019\u2032", "'"),
    **dict.fromkeys("\u201c\u201d\u2033", '"'),
    **{"\u00d7": "x", "\u2264": "<=", "\u2265": ">=", "\u00b1": "+-", "\u2192": "->", "\u2190": "<-", "\u2022": "*"},
    **{"\u00b5": "u", "\u03bc": "u", "\u2502": "|", "\u2503": "|", "\u00df": "ss", "\u2713": "yes", "\u2717": "no"},
}
HANDLER = "hushtune-plain"  # the name under which Python finds ``plain``


def print_plainly() -> None:
    """Let standard output and standard error replace what they cannot encode, instead of ending the program."""
    codecs.register_error(HANDLER, plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def plain(error: UnicodeError) -> tuple[str, int]:
    """Handle an encoding error for `codecs`: return plain characters, and the place at which to continue.

    A power keeps its sign: ``10⁻²`` becomes ``10^-2``.

    Parameters
    ----------
    error
        The encoder's error, with the text and the place of the characters.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text, raised = "", error.start > 0 and _is_raised(error.object[error.start - 1])
    for char in error.object[error.start : error.end]:
        text += "^" if _is_raised(char) and not raised else ""
        raised = _is_raised(char)
        text += PLAIN.get(char) or _without_marks(char) or "?"
    return text, error.end


def _is_raised(char: str) -> bool:
    return unicodedata.decomposition(char).startswith("<super>")


def _without_marks(char: str) -> str:
    """Return the ASCII letters or digits that a character is made of; nothing if there are none."""
    return unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode()
