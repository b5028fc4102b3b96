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


@pytest.mark.parametrize(
    ("content", "labelled", "says"),
    [
        (None, False, "not readable"),
        (b"\xff\xfe", False, "not readable"),
        (b"\n", False, "no text in it"),
        (b'{"text": "one"}\n{"txt": "zebrafinch"}', False, "line 2: no JSON object with 'text' as text"),
        (b'{"text": "one"}\n{"text": 3}', False, "line 2"),
        (b'{"text": " "}', False, "line 1"),
        (b"[]\n", False, "line 1"),
        (b"[" * 100_000, False, "line 1"),
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
