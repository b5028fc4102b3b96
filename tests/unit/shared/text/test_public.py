from pathlib import Path

import pytest

from shared.errors import DataError
from shared.text.public import read_texts


def test_texts_are_read_in_order_and_blank_lines_are_none(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text('{"text": "one", "label": "x"}\n\n{"text": "tw\u00f6"}\n', encoding="utf-8")
    assert read_texts(file) == [("one", None), ("tw\u00f6", None)]
    file.write_text('{"text": "one", "label": "x"}', encoding="utf-8")
    assert read_texts(file, labelled=True) == [("one", "x")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_marks_and_separators_of_lines_are_read_as_in_records(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text('{"text": "one\u2028two"}\n{"text": "three\x85"}\n', encoding=encoding)
    assert read_texts(file) == [("one\u2028two", None), ("three\x85", None)]


@pytest.mark.parametrize(
    ("content", "labelled", "says"),
    [
        (None, False, "no such file"),
        (b"\xe9", False, "line 1: not UTF-8"),
        (b"\n", False, "no text in it"),
        (b'{"text": "one"}\n{"txt": "zebrafinch"}', False, "line 2, record 2: does not have 'text' as a text"),
        (b'{"text": "one"}\n{"text": 3}', False, "line 2"),
        (b'{"text": " "}', False, "line 1"),
        (b"[]\n", False, "no text in it"),
        (b"[" * 100_000, False, "not readable"),
        (b'{"text": "zebrafinch"}', True, "'text' and 'label'"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_without_its_text(
    tmp_path: Path, content: bytes | None, labelled: bool, says: str
) -> None:
    if content is not None:
        (tmp_path / "g.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        read_texts(tmp_path / "g.jsonl", labelled)
    assert "\n" not in str(caught.value)
    assert "zebrafinch" not in str(caught.value)
