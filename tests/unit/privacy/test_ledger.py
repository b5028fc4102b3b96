import errno
import itertools
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from privacy import ledger as ledger_module
from privacy.entries import Entry, read, refuse_unless_holds
from privacy.fingerprint import Dataset
from privacy.ledger import Ledger, read_dataset
from shared.errors import LedgerError
from shared.wire.chain_head import ChainHead

EVENTS = [{"sampling_rate": 0.1, "noise_multiplier": 1.0, "steps": 4, "purpose": "training"}]
DATASET = Dataset([(bytes([i]) * 16,) for i in range(5)])


def reserve(ledger: Ledger, number: int) -> Entry:
    with ledger.locked():
        entry = ledger.reserve(
            DATASET,
            run_id="run",
            round=number,
            unit="record",
            relation="add-or-remove-one",
            target_delta=1e-4,
            plan="p" * 64,
            events=EVENTS,
            server_entries=0,
            server_hash="",
        )
        ledger.commit(entry)
    return entry


@pytest.fixture
def book(tmp_path: Path) -> Ledger:
    """Make a ledger with an opening entry and six more: three rounds, reserved and answered."""
    ledger = Ledger(tmp_path / "ledger", "north")
    for number in (1, 2, 3):
        reserve(ledger, number)
    return ledger


def lines(book: Ledger) -> list[bytes]:
    return book.path.read_bytes().splitlines(keepends=True)


def rewritten(line: bytes, prev: str | None = None, **body: object) -> bytes:
    """Return a line with changed content and a matching hash, as a forger who knows the format would write it."""
    plain = json.loads(line)
    head = ChainHead(plain["seq"], prev or plain["prev"])
    return Entry.after(head, plain["kind"], plain["body"] | body).line()


def test_entries_come_back_as_they_were_written(book: Ledger) -> None:
    kinds = [entry.kind for entry in book.entries()]
    assert kinds == ["open", *["reserve", "commit"] * 3]
    assert [entry.seq for entry in book.entries()] == list(range(7))
    assert book.entries()[1].body["events"] == EVENTS
    assert book.head() == ChainHead(7, book.entries()[-1].hash)
    assert read_dataset(book.folder, book.entries()[1].body["dataset"]) == DATASET.ids


def test_opening_it_again_changes_nothing(book: Ledger) -> None:
    before = book.path.read_bytes()
    again = Ledger(book.folder, "north")
    assert again.entries() == book.entries()
    assert again.key == book.key
    assert book.path.read_bytes() == before


Tamper = Callable[[list[bytes]], list[bytes]]
TAMPERED: dict[str, tuple[Tamper, str]] = {
    "edited": (lambda a: [*a[:3], a[3].replace(b'"round":2', b'"round":9'), *a[4:]], "entry 3 was altered"),
    "edited with its hash": (lambda a: [*a[:3], rewritten(a[3], round=9), *a[4:]], "entry 4 does not follow"),
    "deleted": (lambda a: [*a[:3], *a[4:]], "entry 3 does not follow"),
    "inserted": (lambda a: [*a[:3], a[1], *a[3:]], "entry 3 does not follow"),
    "swapped": (lambda a: [*a[:3], a[4], a[3], *a[5:]], "entry 3 does not follow"),
    "replaced": (lambda a: [*a[:3], b"{}\n", *a[4:]], "entry 3 is not a ledger entry"),
}


@pytest.mark.parametrize("way", TAMPERED)
def test_tampering_is_found_by_the_first_bad_entry(book: Ledger, way: str) -> None:
    tamper, says = TAMPERED[way]
    book.path.write_bytes(b"".join(tamper(lines(book))))
    with pytest.raises(LedgerError, match=says):
        book.entries()


def test_a_tail_that_was_cut_off_is_found_by_the_head_beside_it(book: Ledger) -> None:
    book.path.write_bytes(b"".join(lines(book)[:5]))
    with pytest.raises(LedgerError, match="ends at entry 4, but entry 6 was seen before"):
        book.entries()


def test_a_tail_that_was_cut_off_with_its_head_is_found_by_what_the_server_saw(book: Ledger) -> None:
    seen = book.head()
    kept = lines(book)[:5]
    last = json.loads(kept[-1])
    book.path.write_bytes(b"".join(kept))
    (book.folder / "head.json").write_text(json.dumps({"entries": 5, "hash": last["hash"]}))
    assert len(book.entries()) == 5
    with pytest.raises(LedgerError, match="ends at entry 4, but entry 6 was seen before"):
        book.refuse_unless_holds(seen)


def test_a_whole_file_that_was_replaced_is_found(book: Ledger, tmp_path: Path) -> None:
    seen = book.head()
    other = Ledger(tmp_path / "other", "north")
    for number in range(1, 4):
        reserve(other, number)
    shutil.copy(other.path, book.path)
    with pytest.raises(LedgerError, match="entry 6 differs from the one that was seen before"):
        book.entries()
    shutil.copy(other.folder / "head.json", book.folder / "head.json")
    with pytest.raises(LedgerError, match="entry 6 differs from the one that was seen before"):
        book.refuse_unless_holds(seen)


def test_a_rewritten_chain_is_found_by_what_the_server_saw(book: Ledger) -> None:
    seen = book.head()
    out: list[bytes] = []
    for line in lines(book):
        body = {"round": 9} if b'"round":2' in line else {}
        out.append(rewritten(line, json.loads(out[-1])["hash"] if out else None, **body))
    book.path.write_bytes(b"".join(out))
    (book.folder / "head.json").write_text(json.dumps({"entries": 7, "hash": json.loads(out[-1])["hash"]}))
    assert len(book.entries()) == 7
    with pytest.raises(LedgerError, match="replaced or rewritten"):
        book.refuse_unless_holds(seen)


def test_two_hundred_truncations_load_what_was_whole_or_refuse(book: Ledger) -> None:
    """A power cut may leave any prefix of the last write; what counts less than was on the disk must never load."""
    whole = book.path.read_bytes()
    complete = book.entries()
    last = len(whole) - len(lines(book)[-1])
    step = last // 180
    offsets = {*range(0, last, step), *range(last, last + 20)}
    assert len(offsets) >= 200
    for offset in sorted(offsets):
        book.path.write_bytes(whole[:offset])
        with pytest.raises(LedgerError, match="seen before"):
            book.entries()
        # The same cut while the last entry was being written: the head beside it does not count that entry yet.
        (book.folder / "head.json").write_text(json.dumps({"entries": 6, "hash": complete[5].hash}))
        if offset >= last:
            assert book.entries() == complete[:6]
        else:
            with pytest.raises(LedgerError, match="seen before"):
                book.entries()
        (book.folder / "head.json").write_text(json.dumps({"entries": 7, "hash": complete[6].hash}))


def test_an_entry_is_written_over_what_an_unfinished_write_left(book: Ledger) -> None:
    with book.path.open("ab") as stream:
        stream.write(b'{"seq":7,"ki')
    reserve(book, 4)
    assert [entry.seq for entry in book.entries()] == list(range(9))


def test_a_crash_between_entry_and_head_leaves_the_entry_counted(book: Ledger) -> None:
    head = book.head()
    last = book.entries()[5]
    (book.folder / "head.json").write_text(json.dumps({"entries": 6, "hash": last.hash}))
    assert Ledger(book.folder, "north").head() == head
    assert json.loads((book.folder / "head.json").read_bytes())["entries"] == 7  # brought forward


def test_a_head_that_is_older_than_a_crash_leaves_it_is_refused(book: Ledger) -> None:
    before = (book.folder / "head.json").read_bytes()
    reserve(book, 4)
    (book.folder / "head.json").write_bytes(before)
    with pytest.raises(LedgerError, match=r"ends at entry 8, but head\.json next to it is an old copy that ends at entry 6"):
        Ledger(book.folder, "north")


@pytest.mark.parametrize("failing", ["write", "fsync"])
def test_a_full_disk_reserves_nothing(book: Ledger, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    before = book.path.read_bytes()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(ledger_module.os, failing, full)
    with pytest.raises(LedgerError, match=r"No space left on device\), so nothing is trained"):
        reserve(book, 4)
    monkeypatch.undo()
    assert book.path.read_bytes() == before
    assert len(book.entries()) == 7


def test_a_write_that_stops_halfway_leaves_no_part_of_an_entry(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    before, write = book.path.read_bytes(), os.write

    def halfway(handle: int, line: bytes) -> int:
        if len(line) < 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, line[: len(line) // 2])

    monkeypatch.setattr(ledger_module.os, "write", halfway)
    with pytest.raises(LedgerError, match="No space left"):
        reserve(book, 4)
    assert book.path.read_bytes() == before


def test_a_ledger_of_another_site_is_refused(book: Ledger) -> None:
    with pytest.raises(LedgerError, match="is the ledger of site north, not of south; give each site a folder of its own"):
        Ledger(book.folder, "south")


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LedgerError, match="cannot be read or written"):
        Ledger(tmp_path / "file" / "ledger", "north")


def test_a_ledger_that_is_not_writable_is_refused(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(ledger_module.os, "open", denied)
    with pytest.raises(LedgerError, match=r"Permission denied\), so nothing is trained; make its folder writable"):
        reserve(book, 4)


def test_key_and_entries_are_for_the_owner_alone(book: Ledger) -> None:
    for name in ("fingerprint.key", "ledger.jsonl", "head.json"):
        assert (book.folder / name).stat().st_mode & 0o077 == 0


def test_a_head_of_no_entry_is_held_by_every_ledger(book: Ledger) -> None:
    refuse_unless_holds(read(book.path), ChainHead(), book.path)


PARTS = ("ledger.jsonl", "head.json", "fingerprint.key", "datasets")


def without(folder: Path, *parts: str) -> None:
    for part in parts:
        shutil.rmtree(folder / part) if part == "datasets" else (folder / part).unlink()


SOME = [gone for count in range(1, len(PARTS)) for gone in itertools.combinations(PARTS, count)]


@pytest.mark.parametrize("gone", SOME, ids="+".join)
def test_a_ledger_that_lacks_any_of_its_parts_is_refused(book: Ledger, gone: tuple[str, ...]) -> None:
    """Seen before: with ledger.jsonl gone and the rest there, a new ledger began, and 3.58 spent became 0."""
    without(book.folder, *gone)
    for _ in range(2):  # nothing may be mended by the attempt
        with pytest.raises(LedgerError, match=r"(missing|cannot be read).*(restore|nothing is trained)") as caught:
            Ledger(book.folder, "north")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", PARTS[:3])
@pytest.mark.parametrize("content", [b"", b"\x00" * 7])
def test_a_part_that_is_empty_or_rubbish_is_refused(book: Ledger, part: str, content: bytes) -> None:
    (book.folder / part).write_bytes(content)
    with pytest.raises(LedgerError):
        Ledger(book.folder, "north")


@pytest.mark.parametrize("kept", [0, -16])
def test_a_dataset_file_that_lost_identities_is_refused(book: Ledger, kept: int) -> None:
    [ids] = (book.folder / "datasets").iterdir()
    ids.write_bytes(ids.read_bytes()[:kept])
    with pytest.raises(LedgerError, match="does not match the fingerprint in its name"):
        Ledger(book.folder, "north")


def test_a_ledger_of_which_nothing_is_left_is_a_new_one(book: Ledger) -> None:
    without(book.folder, *PARTS)
    assert len(Ledger(book.folder, "north").entries()) == 1


class PowerCut(BaseException):
    """What no handler catches."""


def crashed(act: Callable[[], object], monkeypatch: pytest.MonkeyPatch, write: int) -> bool:
    """Do something and die before its n-th change of the disk; False where there are fewer."""
    count = itertools.count()

    def dying(real: Callable[..., object]) -> Callable[..., object]:
        def change(*given: object) -> object:
            if next(count) == write:
                raise PowerCut
            return real(*given)

        return change

    for module, name in ((os, "write"), (os, "fsync"), (Path, "rename")):
        monkeypatch.setattr(module, name, dying(getattr(module, name)))
    try:
        act()
    except PowerCut:
        return True
    finally:
        monkeypatch.undo()
    return False


def test_a_new_ledger_is_completed_after_a_crash_at_any_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for write in itertools.count():
        folder, second = tmp_path / str(write), tmp_path / f"{write}.json"
        died = crashed(partial(Ledger, folder, "north", second), monkeypatch, write)
        book = Ledger(folder, "north", second)
        reserve(book, 1)
        assert len(Ledger(folder, "north", second).entries()) == 3
        if not died:
            break
    assert write >= 10


def test_a_crash_at_any_point_of_a_round_leaves_a_ledger_that_opens_and_counts_what_reached_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = list[int]()
    for write in itertools.count():
        folder, second = tmp_path / str(write), tmp_path / f"{write}.json"
        book = Ledger(folder, "north", second)
        died = crashed(partial(reserve, book, 1), monkeypatch, write)
        found.append(len(Ledger(folder, "north", second).entries()))
        reserve(Ledger(folder, "north", second), 2)
        if not died:
            break
    assert found == sorted(found)
    assert set(found) == {1, 2, 3}  # nothing, a reservation, and its commit
    assert write >= 10


@pytest.mark.parametrize("part", ["head.json", "fingerprint.key", "ledger.jsonl"])
def test_an_unused_ledger_is_completed_only_in_the_order_in_which_it_is_made(tmp_path: Path, part: str) -> None:
    folder = tmp_path / "ledger"
    Ledger(folder, "north")
    (folder / part).unlink()
    if part == "fingerprint.key":  # the last one that is made
        assert len(Ledger(folder, "north").key) == 32
    else:
        with pytest.raises(LedgerError, match=r"missing|gone"):
            Ledger(folder, "north")


@pytest.mark.parametrize("content", ["", "[1]", "[" * 100_000, '{"entries": 1e999, "hash": ""}'])
def test_a_head_or_an_entry_that_is_rubbish_is_named(book: Ledger, content: str) -> None:
    (book.folder / "head.json").write_text(content)
    with pytest.raises(LedgerError, match=r"head\.json: cannot be read"):
        book.entries()
    book.path.write_text(f"{content}\n")
    (book.folder / "head.json").unlink()
    with pytest.raises(LedgerError, match="entry 0 is not a ledger entry"):
        book.entries()


def test_a_ledger_that_goes_while_it_is_open_is_not_begun_anew(book: Ledger) -> None:
    book.path.unlink()
    with pytest.raises(LedgerError, match="cannot be read"):
        reserve(book, 4)
    assert not book.path.exists()
