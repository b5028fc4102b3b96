import codecs
import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ops.plain_output import HANDLER, plain, print_plainly

codecs.register_error(HANDLER, plain)


@pytest.mark.parametrize(
    ("text", "encoding", "plainly"),
    [
        ("1.4 \u00d7 10\u207b\u00b2 \u2264 \u03b5", "ascii", "1.4 x 10^-2 <= ?"),
        ("1.4 \u00d7 10\u207b\u00b2 \u2264 \u03b5", "latin-1", "1.4 \u00d7 10^-\u00b2 <= ?"),
        ("10\u207b\u00b2 and m\u00b2", "cp1252", "10^-\u00b2 and m\u00b2"),
        ("\u201cGr\u00f6\u00dfe\u201d \u2014 \u00c5ngstr\u00f6m\u2019s \u2116", "ascii", '"Grosse" - Angstrom\'s No'),
        ("half \ud83d, a \N{SNOWMAN}", "utf-8", "half ?, a \N{SNOWMAN}"),
        ("\u65e5\u672c", "ascii", "??"),
    ],
)
def test_what_an_encoding_lacks_is_written_in_plain_characters(text: str, encoding: str, plainly: str) -> None:
    assert text.encode(encoding, HANDLER).decode(encoding) == plainly


@given(st.text(), st.sampled_from(["ascii", "latin-1", "cp1252", "cp437", "utf-8", "shift-jis"]))
def test_any_text_can_be_printed_on_any_console(text: str, encoding: str) -> None:
    assert text.isascii() <= (text.encode(encoding, HANDLER).decode(encoding) == text)


def test_both_outputs_print_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {name: io.TextIOWrapper(io.BytesIO(), encoding="ascii") for name in ("stdout", "stderr")}
    for name, output in outputs.items():
        monkeypatch.setattr(sys, name, output)
    print_plainly()
    for output in outputs.values():
        print("2 \u00d7 3", file=output, flush=True)
        assert output.buffer.getvalue() == b"2 x 3\n"  # type: ignore[attr-defined]
