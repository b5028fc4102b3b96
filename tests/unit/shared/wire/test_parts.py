"""Parts of a message travel several in one request, and nobody gets more into memory than the bound allows."""

from collections.abc import Sequence
from hashlib import sha256

import pytest
from flwr.proto.message_pb2 import ObjectTree
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import MessageError
from shared.wire import parts as module
from shared.wire.parts import CHUNK, LENGTH, Bound, packets, pull, unpacked_parts

FAR = Bound(10**9, 10**9)


def named(contents: Sequence[bytes]) -> dict[str, bytes]:
    return {sha256(content).hexdigest(): content for content in contents}


@given(st.lists(st.binary(max_size=40)))
def test_parts_come_out_as_they_went_in(contents: list[bytes]) -> None:
    found: dict[str, bytes] = {}
    for body in packets(contents):
        found |= unpacked_parts(body)
    assert found == named(contents)


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1), st.data())
def test_a_body_that_was_cut_is_refused_or_ends_between_two_parts(contents: list[bytes], data: st.DataObject) -> None:
    body = b"".join(packets(contents))
    cut = data.draw(st.integers(0, len(body) - 1))
    ends = [sum(LENGTH + len(each) for each in contents[:count]) for count in range(len(contents))]
    if cut in ends:
        assert unpacked_parts(body[:cut]) == named(contents[: ends.index(cut)])
    else:
        with pytest.raises(MessageError, match="in the middle of a part"):
            unpacked_parts(body[:cut])


def test_a_body_is_no_larger_than_a_chunk_unless_one_part_is() -> None:
    bodies = list(packets([bytes(CHUNK // 2), bytes(CHUNK // 2), b"x", bytes(CHUNK + 9), b"y"]))
    assert [len(body) > CHUNK for body in bodies] == [False, False, True, False]


def test_a_message_is_fetched_with_as_many_requests_as_it_needs_and_foreign_parts_are_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contents, asked = named([b"one", b"two", b"three"]), list[str]()
    kept: dict[str, bytes] = {}
    monkeypatch.setattr(module, "inflate", lambda name, parts, bound: kept.update(parts))

    def fetch(names: str) -> bytes:
        asked.append(names)
        return b"".join(packets([contents[names.split(",")[0]], b"nobody asked for this"])) if len(asked) != 2 else b""

    waits = list[float]()
    names = list(contents)
    tree = ObjectTree(object_id=names[0], children=[ObjectTree(object_id=name) for name in names[1:]])
    pull(tree, FAR, fetch, waits.append)
    assert kept == contents
    assert [len(names.split(",")) for names in asked] == [3, 2, 2, 1]
    assert waits == [module.PAUSE]


def test_parts_beyond_the_bound_are_refused_before_anything_is_inflated() -> None:
    content = bytes(100)
    tree = ObjectTree(object_id=sha256(content).hexdigest())
    with pytest.raises(MessageError, match="more than 99 bytes"):
        pull(tree, Bound(50, 49), lambda _: b"".join(packets([content])))


def test_a_server_that_never_sends_the_parts_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with pytest.raises(MessageError, match="withdrawn"):
        pull(ObjectTree(object_id="0" * 64), FAR, lambda _: b"", lambda _: None)
