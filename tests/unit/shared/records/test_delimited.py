import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fixture_types import ConfigOf, Refused
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.records.delimited import DELIMITERS, table_of
from shared.records.read import read_records
from shared.records.rows import rows_of

MARKER = "zqxjvkwpatient"
every_delimiter = pytest.mark.parametrize("delimiter", DELIMITERS)
ROWS: Sequence[Mapping[str, Any]] = [
    {"text": 'Kopfweh; "stark", seit\tMontag | nachts', "label": "no"},
    {"text": "two\nlines, and; more", "label": "yes"},
]


def table(path: Path, delimiter: str, rows: Sequence[Mapping[str, Any]] = ROWS, start: str = "") -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        stream.write(start)
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


@every_delimiter
@pytest.mark.parametrize("suffix", [".csv", ".CSV", ".tsv"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n"])
def test_a_delimiter_is_found_in_the_header(
    tmp_path: Path, config_of: ConfigOf, delimiter: str, suffix: str, start: str
) -> None:
    found = read_records(table(tmp_path / f"n{suffix}", delimiter, start=start), config_of())
    assert [(record.fields["text"], record.label) for record in found] == [(row["text"], row["label"]) for row in ROWS]


@every_delimiter
def test_a_line_in_which_excel_names_the_delimiter_is_no_header(
    tmp_path: Path, config_of: ConfigOf, delimiter: str, refused: Refused
) -> None:
    path = table(tmp_path / "n.csv", delimiter, start=f"sep={delimiter}\r\n")
    assert [record.label for record in read_records(path, config_of())] == ["no", "yes"]
    with path.open("a", encoding="utf-8") as stream:
        stream.write(MARKER + "\n")
    assert "line 6, record 3: has 1 cells, and the header 2" in refused(path, config_of())


def test_the_mapped_columns_decide_if_names_hold_other_delimiters(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text('"a,b";text;label|x\n1;2;3\n')
    assert table_of(tmp_path / "n.csv", "utf-8", {"text"}).columns == ["a,b", "text", "label|x"]
    assert table_of(tmp_path / "n.csv", "utf-8", {"text", "a,b"}).delimiter == ";"


def test_one_column_alone_needs_no_delimiter(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text("text\nGood; thanks\n")
    assert [row.values for row in rows_of(tmp_path / "n.csv", {"text"})] == [{"text": "Good; thanks"}]


def test_blanks_around_a_name_are_not_part_of_it(tmp_path: Path, config_of: ConfigOf) -> None:
    (tmp_path / "n.csv").write_text("text; label \nhello;no\n")
    assert read_records(tmp_path / "n.csv", config_of())[0].label == "no"


@settings(max_examples=30)
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12), min_size=2, max_size=4),
    delimiter=st.sampled_from(sorted(DELIMITERS)),
)
def test_what_the_rows_hold_changes_neither_delimiter_nor_another_row(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], delimiter: str
) -> None:
    path = tmp_path_factory.mktemp("n") / "n.csv"
    rows = [{"id": "x", "text": text, "label": "no"} for text in texts]
    both = list(rows_of(table(path, delimiter, rows), {"text", "label"}))
    fewer = list(rows_of(table(path, delimiter, rows[1:]), {"text", "label"}))
    assert [row.values for row in both[1:]] == [row.values for row in fewer]
    assert [row.values["text"] for row in both] == texts


BAD = {
    "a shifted row among semicolons": f"text;label\na;no\n{MARKER}; more;yes\n",
    "a missing field among tabs": f"text\tlabel\na\tno\n{MARKER}\n",
    "marks escaped by backslashes": 'text;label\na;no\n"she said \\"' + MARKER + '\\"; and left";no\n',
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD.keys())
def test_a_row_that_does_not_fit_the_header_is_refused_with_its_line(
    tmp_path: Path, config_of: ConfigOf, content: str, refused: Refused
) -> None:
    (tmp_path / "n.csv").write_text(content)
    assert "line 3" in refused(tmp_path / "n.csv", config_of())
