import dataclasses
import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixture_types import ConfigOf, Read, Refusal, Refused, Write
from hypothesis import given
from hypothesis import strategies as st

from shared.records.read import read_records
from shared.records.types import RawRecord, Record, Span, canonical, content, origin

MARKER = "zqxjvkwpatient"
ADVERSARY = {"column": "sex", "groups": ["f", "m"]}


def test_a_person_late_in_a_long_csv_is_the_same_as_at_its_beginning(tmp_path: Path, config_of: ConfigOf) -> None:
    ids = ["0042", *(f"{number:06d}" for number in range(12_000)), "0042", "A17"]
    path = tmp_path / "n.csv"
    path.write_text("text,label,pid\n" + "".join(f"x,no,{one}\n" for one in ids), encoding="utf-8")
    found = [record.person for record in read_records(path, config_of({"data.columns.person": "pid"}))]
    assert found[0] == found[-2] == "0042"
    assert len(set(found)) == len(ids) - 1


def test_one_person_is_known_in_every_way_of_writing_an_id(read: Read) -> None:
    forms: dict[str, list[Any]] = {
        "ann lee": ["Ann Lee", "ann lee", " ANN\u00a0 LEE ", "\uff21nn Lee", "Ann\u200b Lee\ufeff"],
        "p-17": ["P-17", "P-17 ", "p\uff0d17"],
        "17": [17, 17.0, "17", "17.0", " 17.00"],
        "0042": ["0042", "0042.0"],
        "42": ["42", 42, 42.0],
    }
    for person, ways in forms.items():
        found = read([{"text": "x", "label": "no", "pid": way} for way in ways], {"data.columns.person": "pid"})
        assert [record.person for record in found] == [person] * len(ways)


@pytest.mark.parametrize("person", [None, "", " ", "\u200b", float("nan"), "NA", "null"])
def test_a_record_of_nobody_is_held_back_and_forms_no_unit(read: Read, person: Any) -> None:
    (record,) = read([{"text": MARKER, "label": "no", "pid": person}], {"data.columns.person": "pid"})
    assert (record.person, record.lacks) == (None, "person")


@pytest.mark.parametrize("person", [["17"], {"id": 17}])
def test_a_person_that_is_no_id_is_refused(refusal: Refusal, person: Any) -> None:
    said = refusal([{"text": MARKER, "label": "no", "pid": person}], {"data.columns.person": "pid"})
    assert "record 1: column 'pid'" in said


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_known_values_keep_the_zeros_before_them_and_lose_the_point_of_a_whole_number(read: Read, suffix: str) -> None:
    row = {"text": "x", "label": "no", "mrn": "0009", "visit": 9.0, "born": "1980-01-02"}
    (record,) = read([row], {"data.columns.known": ["mrn", "visit", "born"]}, suffix)
    assert record.known == ("0009", "9", "1980-01-02")


def test_one_dataset_has_the_same_identities_in_every_format_order_and_case(
    tmp_path: Path, config_of: ConfigOf, write: Write
) -> None:
    config = config_of(
        {"data.columns": {"text": ["letter", "age", "born"], "person": "pid", "known": ["mrn"]}, "adversary": ADVERSARY}
    )
    rows: list[dict[str, Any]] = [
        {"letter": f"Letter {n} of \u00c5sa", "age": 40.0 + n, "born": datetime.date(1980, 1, n), "mrn": n, "label": "no"}
        | {"pid": f"{n:04d}", "sex": "f"}
        for n in range(1, 9)
    ]
    texts = [{name: str(value) for name, value in row.items()} for row in rows]
    shouted = [dict(reversed([(name, value.upper()) for name, value in row.items()])) for row in texts[::-1]]
    kinds = [
        read_records(write(tmp_path / "typed.parquet", rows), config),
        read_records(write(tmp_path / "n.csv", texts), config),
        read_records(
            write(tmp_path / "n.jsonl", [row | {"age": float(row["age"]), "mrn": int(row["mrn"])} for row in texts]), config
        ),
        read_records(write(tmp_path / "n.parquet", texts), config),
        read_records(write(tmp_path / "shouted.csv", shouted), config, labelled=False)[::-1],
    ]
    for found in kinds[1:]:
        assert [(set(r.origin), r.person, r.known) for r in found] == [(set(r.origin), r.person, r.known) for r in kinds[0]]
    assert len({digest for record in kinds[0] for digest in record.origin}) == 3 * len(rows)


@pytest.mark.parametrize("mapped", ["letter", "summary", ["letter"], ["summary", "letter"], ["letter", "summary", "ward"]])
def test_a_record_is_known_by_each_of_its_texts_whatever_else_is_mapped(read: Read, mapped: Any) -> None:
    row = {"letter": "dear doctor, I cannot sleep", "summary": "no sleep", "ward": "7", "label": "no"}
    (first,) = read([row], {"data.columns.text": ["letter", "summary"]}, ".csv")
    renamed = {"body" if name == "letter" else name: value for name, value in row.items()}
    (again,) = read([row], {"data.columns.text": mapped}, ".csv")
    other = [{"letter": "body"}.get(name, name) for name in ([mapped] if isinstance(mapped, str) else mapped)]
    (under,) = read([renamed], {"data.columns.text": other}, ".csv")
    assert set(first.origin) & set(again.origin)
    assert set(again.origin) == set(under.origin)


def test_a_text_within_an_object_is_known_in_a_column_of_its_own(read: Read) -> None:
    turns = [
        {"role": "user", "said": "I have not slept since Monday, what now?"},
        {"role": "us", "said": "go to bed early " * 3},
    ]
    (nested,) = read([{"text": turns, "label": "no"}])
    for turn in turns:
        (flat,) = read([{"text": turn["said"], "label": "no"}], suffix=".csv")
        assert set(nested.origin) & set(flat.origin)
    other = [{"said": "nothing like it at all, nor as long", "role": "user"}]
    (stranger,) = read([{"text": other, "label": "no"}])
    assert not set(nested.origin) & set(stranger.origin)  # short values, such as a role, tell nobody apart


@given(st.text(st.characters(codec=None), max_size=12))
def test_the_form_of_a_form_is_itself_and_its_shouted_and_spaced_self_has_the_same(text: str) -> None:
    form = canonical(text)
    assert canonical(form) == form
    assert canonical(f" {form}\u00a0\u200b") == form
    assert canonical(form.title()) == canonical(form.title().lower())


def test_zeros_before_a_number_tell_two_persons_apart_and_a_version_is_no_number() -> None:
    assert len({canonical(text) for text in ("0042", "42", "42.10", "42.1", "4.2e1", "42a")}) == 6


@given(st.sampled_from(["Ann Lee", "P-17", "17"]))
def test_a_record_holds_its_person_in_the_one_form_however_it_is_made(person: str) -> None:
    assert RawRecord({"text": "x"}, person=f" {person.upper()} ") == replace(RawRecord({"text": "x"}), person=person)


def test_a_blank_text_ties_no_two_records_together() -> None:
    assert origin(["", "a", " \u200b"]) == origin(["A "])
    assert len(origin([" ", ""])) == 1


SEEN = {"fields": {"text": "b"}, "label": "no", "group": "m", "tags": (Span("A", 0, 1),)}


@pytest.mark.parametrize("name", [each.name for each in dataclasses.fields(Record) if each.name != "position"])
def test_the_content_of_a_record_changes_with_each_field_that_training_sees(name: str) -> None:
    record = Record({"text": "a"}, "yes", 1, "f")
    assert content(replace(record, **{name: SEEN[name]})) != content(record)
    assert content(replace(record, **{name: SEEN[name]}), without=[name]) == content(record, without=[name])


def test_a_field_that_is_new_is_content_as_well() -> None:
    longer = dataclasses.make_dataclass("Longer", [("tone", str, "")], bases=(Record,), frozen=True)
    assert content(longer({"text": "a"}, tone="kind")) != content(longer({"text": "a"}, tone="curt"))


def test_the_place_of_a_record_is_no_content_and_fields_do_not_run_together() -> None:
    record = Record({"instruction": "ab", "response": "c"}, position=1)
    assert content(record) == content(replace(record, position=2))
    assert content(record) != content(Record({"instruction": "a", "response": "bc"}))
    assert content(Record({"text": "a"}, "None")) != content(Record({"text": "a"}, None))


@pytest.mark.parametrize("kind", ["timestamp[ns]", "time64[ns]", "duration[ns]"])
def test_a_point_in_time_is_no_person_because_its_nanoseconds_are_lost(
    tmp_path: Path, config_of: ConfigOf, refused: Refused, kind: str
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    ids = pa.array([1_000_001, 1_000_002]).cast(pa.int64()).cast(pa.type_for_alias(kind))
    parquet.write_table(pa.table({"text": ["a b", "c d"], "label": ["yes", "no"], "pid": ids}), tmp_path / "n.parquet")
    assert "not an id" in refused(tmp_path / "n.parquet", config_of({"data.columns.person": "pid"}))
