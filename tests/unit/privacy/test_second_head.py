import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from privacy.fingerprint import Dataset
from privacy.ledger import Ledger
from shared.errors import LedgerError

RECORDS = Dataset([(bytes([i]) * 16,) for i in range(5)])
Open = Callable[[], Ledger]


def reserve(book: Ledger, number: int) -> None:
    with book.locked():
        nothing = {"unit": None, "relation": None, "target_delta": None, "plan": None, "events": []}
        book.reserve(RECORDS, run_id="run", round=number, server_entries=0, server_hash="", **nothing)


@pytest.fixture
def second(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere" / "head.json"


@pytest.fixture
def opened(tmp_path: Path, second: Path) -> Open:
    return lambda: Ledger(tmp_path / "ledger", "north", second)


@pytest.fixture
def used(opened: Open) -> Ledger:
    """Make a ledger with five rounds reserved, so that it ends at entry 5."""
    book = opened()
    for number in range(1, 6):
        reserve(book, number)
    return book


def wind_back(second: Path, book: Ledger, entries: int) -> None:
    kept = book.entries()[entries - 1]
    second.write_text(json.dumps({"site_id": "north", "entries": entries, "hash": kept.hash}))


def test_a_fresh_site_has_neither_and_gets_both(opened: Open, second: Path) -> None:
    assert not second.exists()
    opened()
    assert json.loads(second.read_text())["entries"] == 1
    assert second.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("age", [1, 2, 4])
def test_an_older_copy_of_the_whole_folder_is_refused(opened: Open, second: Path, tmp_path: Path, age: int) -> None:
    """Seen before: a folder from an older backup, put back before a new run, was accepted with what it said was spent."""
    book = opened()
    for number in range(1, 6 - age):
        reserve(book, number)
    shutil.copytree(book.folder, tmp_path / "backup")
    for number in range(6 - age, 6):
        reserve(book, number)
    shutil.rmtree(book.folder)
    shutil.copytree(tmp_path / "backup", book.folder)
    for _ in range(2):
        with pytest.raises(LedgerError) as caught:
            opened()
        said = str(caught.value)
        assert f"ledger.jsonl: is an old copy that ends at entry {5 - age}, but {second} has seen entry 5;" in said
        assert "restore the newest copy of the ledger's folder" in said
        assert "\n" not in said
    with pytest.raises(LedgerError, match="is an old copy"):
        Ledger(book.folder, "north").confirm(second)  # and no word helps


def test_a_ledger_that_is_gone_as_a_whole_is_not_begun_anew(used: Ledger, opened: Open) -> None:
    shutil.rmtree(used.folder)
    with pytest.raises(LedgerError, match=r"ledger\.jsonl: is missing, but .*head\.json has seen its entry 5; restore"):
        opened()
    assert not used.path.exists()


@pytest.mark.parametrize("entries", [1, 3, 4])
def test_a_second_head_that_is_older_than_a_crash_leaves_it_is_the_old_one(
    used: Ledger, opened: Open, second: Path, entries: int
) -> None:
    wind_back(second, used, entries)
    with pytest.raises(LedgerError, match=rf"head\.json: is an old copy that ends at entry {entries - 1}, .* at entry 5;"):
        opened()
    used_before = used.path.read_bytes()
    Ledger(used.folder, "north").confirm(second)
    assert opened().path.read_bytes() == used_before


def test_a_missing_second_head_is_refused_until_a_person_confirms(used: Ledger, opened: Open, second: Path) -> None:
    second.unlink()
    for _ in range(2):
        with pytest.raises(LedgerError, match=r"head\.json: is missing, .* run 'hushtune ledger confirm SITE\.toml'"):
            opened()
    with pytest.raises(LedgerError, match=r"head\.json: is missing"):
        reserve(used, 6)  # nor does a ledger that is open already go on without it
    assert used.head().entries == 6
    Ledger(used.folder, "north").confirm(second)
    reserve(opened(), 6)


def test_a_site_that_has_spent_nothing_may_be_without_its_second_head(opened: Open, second: Path) -> None:
    opened()
    second.unlink()
    opened()
    assert second.exists()


def test_a_second_head_of_another_ledger_is_refused(used: Ledger, opened: Open, second: Path, tmp_path: Path) -> None:
    other = Ledger(tmp_path / "other", "north", tmp_path / "other.json")
    for number in range(1, 4):
        reserve(other, number)
    shutil.copy(tmp_path / "other.json", second)
    with pytest.raises(
        LedgerError, match=r"entry 3 differs from the one that .* has seen, so one of the two files belongs to another"
    ):
        opened()
    with pytest.raises(LedgerError, match="belongs to another ledger"):
        Ledger(used.folder, "north").confirm(second)


def test_two_sites_cannot_share_a_second_head(used: Ledger, second: Path, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"is the head of the ledger of site north, not of south; set site\.ledger_head"):
        Ledger(tmp_path / "south", "south", second)


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[1]", "[" * 100_000, *(f'{{"site_id": "north", "entries": {n}, "hash": ""}}' for n in ('"many"', "1e999"))],
)
def test_a_second_head_that_is_rubbish_is_named(used: Ledger, opened: Open, second: Path, content: str) -> None:
    second.write_text(content)
    with pytest.raises(LedgerError, match=r"head\.json: is not a copy of a ledger's head; restore it"):
        opened()


def test_a_place_that_cannot_be_written_stops_the_site_before_its_ledger_grows(used: Ledger, second: Path) -> None:
    shutil.rmtree(second.parent)
    second.parent.write_text("a disk that is not there")
    with pytest.raises(LedgerError, match="cannot be read or written"):
        reserve(used, 6)
    assert used.head().entries == 6


def test_of_all_pairs_of_moments_only_those_that_a_crash_can_leave_open(opened: Open, second: Path, tmp_path: Path) -> None:
    """Ledger and second head from any two moments of one history, as after backups of different age."""
    book = opened()
    for number in range(1, 6):
        shutil.copytree(book.folder, tmp_path / f"ledger-{number}")
        shutil.copy(second, tmp_path / f"head-{number}")
        if number < 5:
            reserve(book, number)
    for ledger_at, second_at in itertools.product(range(1, 6), repeat=2):
        shutil.rmtree(book.folder)
        shutil.copytree(tmp_path / f"ledger-{ledger_at}", book.folder)
        shutil.copy(tmp_path / f"head-{second_at}", second)
        if ledger_at - second_at in (0, 1):
            assert opened().head().entries == ledger_at
            assert json.loads(second.read_text())["entries"] == ledger_at
        else:
            with pytest.raises(LedgerError, match="is an old copy"):
                opened()
