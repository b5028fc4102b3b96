import csv
import json
import math
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixture_types import ConfigOf
from hypothesis import given
from hypothesis import strategies as st

from privacy.budget import Budget, Limit
from privacy.fingerprint import ID_BYTES, Dataset, split_ids
from privacy.ledger import Ledger
from shared.errors import LedgerError
from shared.records.read import read_records
from shared.records.types import RawRecord, origin
from shared.wire.chain_head import ChainHead

KEY = b"k" * 32


def record(text: str, person: str | None = None) -> RawRecord:
    return RawRecord({"text": text}, origin=origin([text]), person=person)


def test_an_empty_cell_of_one_file_is_no_record_of_another() -> None:
    first, second = (Dataset.of([record(text), record(" ")], KEY) for text in ("one", "two"))
    assert not first.ids & second.ids
    assert len(first.units) == 1


@given(st.lists(st.text(min_size=1), min_size=1, max_size=8, unique=True), st.randoms())
def test_order_changes_no_fingerprint(texts: list[str], random: object) -> None:
    shuffled = list(texts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = (Dataset.of([record(t) for t in found], KEY) for found in (texts, shuffled))
    assert first.fingerprint == second.fingerprint
    assert split_ids(first.to_bytes()) == first.ids


@given(st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), min_size=1, max_size=8, unique=True))
def test_one_record_more_changes_the_fingerprint(texts: list[str]) -> None:
    fewer, more = (Dataset.of([record(t) for t in found], KEY) for found in (texts, [*texts, "A NEW ONE"]))
    assert fewer.fingerprint != more.fingerprint
    assert fewer.ids < more.ids


def test_a_record_is_known_under_another_task_and_a_shorter_cut() -> None:
    question, answer = "What is it?", "a long answer " * 50
    asked = RawRecord({"instruction": question, "response": answer[:40]}, origin=origin([question, answer]))
    classified = RawRecord({"text": answer}, "x", origin=origin([answer]))
    assert not Dataset.of([asked], KEY).ids.isdisjoint(Dataset.of([classified], KEY).ids)


def test_another_sites_key_gives_unrelated_identities() -> None:
    ours, theirs = (Dataset.of([record("the same")], key) for key in (KEY, secrets.token_bytes(32)))
    assert ours.ids.isdisjoint(theirs.ids)


@pytest.mark.parametrize("form", ["ann lee", "ANN  LEE ", "\uff21nn\u200b Lee"])
def test_a_person_is_known_in_another_form_of_the_id(form: str) -> None:
    assert not Dataset.of([record("x", "Ann Lee")], KEY).ids.isdisjoint(Dataset.of([record("y", form)], KEY).ids)
    both = Dataset.of([record("x", "Ann Lee"), record("y", form)], KEY, by_person=True)
    assert len(both.units) == 1


def test_what_a_number_spent_counts_for_it_without_its_zeros_but_the_two_stay_two_persons() -> None:
    spent, padded, bare, other = (
        Dataset.of([record(text, person)], KEY).ids
        for text, person in (("x", "0042"), ("y", "00042"), ("z", "42"), ("u", "420"))
    )
    assert not spent.isdisjoint(padded)
    assert not spent.isdisjoint(bare)
    assert spent.isdisjoint(other)
    assert len(Dataset.of([record("x", "0042"), record("y", "42")], KEY, by_person=True).units) == 2


def test_a_person_is_no_text() -> None:
    assert Dataset.of([record("x", person="jo")], KEY).ids.isdisjoint(Dataset.of([record("jo")], KEY).ids)
    assert all(len(identity) == ID_BYTES for identity in Dataset.of([record("x", person="jo")], KEY).ids)


def test_a_record_of_unknown_origin_is_refused() -> None:
    with pytest.raises(LedgerError, match="has no origin"):
        Dataset.of([RawRecord({"text": "from nowhere"})], KEY)


def test_nothing_of_a_record_shows() -> None:
    shown = repr(Dataset.of([record("zebrafinch", person="zebrafinch")], KEY)) + repr(record("zebrafinch", "zebrafinch"))
    assert "zebrafinch" not in shown


def lines(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def table(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


FIRST = [{"letter": f"letter {n}", "summary": f"sum {n}", "pid": f"{n:04d}", "label": "no"} for n in range(1, 5)]
NEW = [{**row, "letter": f"new {row['letter']}", "summary": f"new {row['summary']}"} for row in FIRST]
BOTH = ["letter", "summary"]


@pytest.mark.parametrize("by_person", [False, True])
@pytest.mark.parametrize(
    ("rows", "mapped"),
    [
        ([{name: row[name] for name in ("label", "pid", "summary", "letter")} for row in FIRST[::-1]], BOTH),
        (FIRST[2:3], "letter"),
        (FIRST[:1], "summary"),
        ([{**row, "letter": f" {row['letter'].upper()}\u00a0", "pid": "x"} for row in FIRST[:1]], ["letter"]),
        (NEW, BOTH),
        ([{**row, "pid": f" {row['pid']}.0"} for row in NEW[:1]], BOTH),
        ([{**row, "pid": int(row["pid"])} for row in NEW[:1]], BOTH),
    ],
    ids=["other order", "fewer columns", "the shorter column", "other case", "other letters", "a float", "no zeros"],
)
def test_no_form_of_the_same_records_or_persons_passes_their_budget(
    tmp_path: Path, config_of: ConfigOf, rows: Sequence[Mapping[str, Any]], mapped: Any, by_person: bool
) -> None:
    def budget(path: Path, columns: Any) -> Budget:
        config = config_of({"data.columns": {"text": columns, "person": "pid"}})
        return Budget(ledger, Dataset.of(read_records(path, config), ledger.key, by_person), Limit(4.0, 1e-3))

    ledger = Ledger(tmp_path / "books", "north")
    budget(table(FIRST, tmp_path / "first.csv"), BOTH).reserve(
        "one", 1, None, ChainHead()
    )  # without privacy, so it has no end
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), tmp_path / "n.parquet")
    for path in (table(rows, tmp_path / "n.csv"), lines(rows, tmp_path / "n.jsonl"), tmp_path / "n.parquet"):
        assert math.isinf(budget(path, mapped).spent().epsilon)
    strangers = [{**row, "pid": f"9{row['pid']}"} for row in NEW]
    assert budget(table(strangers, tmp_path / "other.csv"), BOTH).spent().epsilon == 0
