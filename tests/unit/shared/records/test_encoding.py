import codecs
import json
from pathlib import Path

import pytest
from fixture_types import ConfigOf, Refused, Write

from shared.records.encoding import encoding_of
from shared.records.read import read_records

MARKER = "zqxjvkwpatient"
ROWS = [
    {"text": "Größe “zwölf” \N{SNOWMAN}\U0001f600", "label": "yes"},
    {"text": "\u017elu\u0165ou\u010dk\u00fd", "label": "no"},
]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_file_is_read_in_the_encoding_that_its_first_bytes_announce(
    tmp_path: Path, config_of: ConfigOf, encoding: str, suffix: str, write: Write
) -> None:
    path = write(tmp_path / f"n{suffix}", ROWS)
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    assert [record.fields["text"] for record in read_records(path, config_of())] == [row["text"] for row in ROWS]


def test_a_big_endian_mark_is_known(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_bytes(codecs.BOM_UTF16_BE + "text,label\n".encode("utf-16-be"))
    assert encoding_of(tmp_path / "n.csv") == "utf-16"


@pytest.mark.parametrize("encoding", ["cp1252", "cp1250", "latin-1", "mac-roman", "cp850", "shift-jis", "gb18030"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_an_older_encoding_is_named_with_its_line_and_never_guessed(
    tmp_path: Path, config_of: ConfigOf, encoding: str, suffix: str, write: Write, refused: Refused
) -> None:
    word = {"shift-jis": "日本", "gb18030": "中文"}.get(encoding, "Fräulein Müller")
    rows = [{"text": "plain", "label": "no"}, {"text": f"{MARKER} {word} left", "label": "no"}]
    path = write(tmp_path / f"n{suffix}", rows)
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    line = 3 if suffix == ".csv" else 2
    assert f"line {line}: not UTF-8, perhaps Windows-1252 (cp1252)" in refused(path, config_of())


def test_a_wrong_byte_far_into_a_file_is_named_by_its_line(tmp_path: Path, config_of: ConfigOf, refused: Refused) -> None:
    row = json.dumps({"text": "word " * 400, "label": "no"}).encode() + b"\n"
    (tmp_path / "n.jsonl").write_bytes(row * 1200 + b'{"text": "caf\xe9", "label": "no"}\n' + row)
    assert "line 1201: not UTF-8" in refused(tmp_path / "n.jsonl", config_of())


def test_marks_within_joined_files_separators_and_lone_surrogates_are_read(
    tmp_path: Path, config_of: ConfigOf, write: Write
) -> None:
    rows = [{"text": "one\u2028two\x85three\u2029", "label": "no"}, {"text": "x", "label": "yes"}]
    path = write(tmp_path / "n.jsonl", rows)
    more = '\ufeff{"text": "half \\ud83d of one", "label": "no"}\n{"text": "a\ttab", "label": "yes"}\n'
    path.write_text("\ufeff" + path.read_text(encoding="utf-8") + more, encoding="utf-8")
    found = read_records(path, config_of())
    assert [record.fields["text"] for record in found] == [rows[0]["text"], "x", "half \ud83d of one", "a\ttab"]


def test_a_column_that_stands_twice_in_an_object_is_refused_if_it_is_mapped(
    tmp_path: Path, config_of: ConfigOf, refused: Refused
) -> None:
    good = json.dumps({"text": "a", "label": "no"})
    (tmp_path / "n.jsonl").write_text(good + f'\n{{"text": "id 7", "label": "no", "text": "{MARKER}"}}\n')
    assert "line 2, record 2: column 'text' stands twice" in refused(tmp_path / "n.jsonl", config_of())
    (tmp_path / "m.jsonl").write_text('{"text": "a", "label": "no", "x": 1, "x": {"text": 1, "text": 2}}\n')
    assert len(read_records(tmp_path / "m.jsonl", config_of())) == 1
