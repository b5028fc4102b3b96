import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.fingerprint import ID_BYTES, Dataset, split_ids
from shared.errors import LedgerError
from shared.record import RawRecord, origin

KEY = b"k" * 32


def record(text: str, person: str | None = None) -> RawRecord:
    return RawRecord({"text": text}, origin=origin([text]), person=person)


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


def test_a_person_is_no_text() -> None:
    assert Dataset.of([record("x", person="jo")], KEY).ids.isdisjoint(Dataset.of([record("jo")], KEY).ids)
    assert all(len(identity) == ID_BYTES for identity in Dataset.of([record("x", person="jo")], KEY).ids)


def test_a_record_of_unknown_origin_is_refused() -> None:
    with pytest.raises(LedgerError, match="has no origin"):
        Dataset.of([RawRecord({"text": "from nowhere"})], KEY)


def test_nothing_of_a_record_shows() -> None:
    shown = repr(Dataset.of([record("zebrafinch", person="zebrafinch")], KEY)) + repr(record("zebrafinch", "zebrafinch"))
    assert "zebrafinch" not in shown
