"""No request is accepted twice, whatever is forgotten in between, and the memory of one key has a fixed size."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.network import replays as module
from server.network.replays import Replays
from shared.identity.request_signature import WINDOW, Claim

NOW = 1_900_000_000.0


def request(moment: float, nonce: str = "", key: bytes = b"north") -> Claim:
    return Claim(key, "north", "0" * 64, f"{moment:.3f}", nonce or secrets.token_hex(16), b"")


@given(
    moments=st.lists(st.integers(-600, 600), min_size=1, max_size=60),
    again=st.randoms(use_true_random=False),
    kept=st.integers(1, 20),
)
def test_no_request_passes_twice_in_any_order_and_few_are_remembered(moments: list[int], again: object, kept: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "KEPT", kept)
        seen, sent = Replays(), [request(NOW + each) for each in moments]
        accepted = [each for each in sent if seen.is_new(each)]
        again.shuffle(sent)  # type: ignore[attr-defined]
        assert accepted
        assert not any(seen.is_new(each) for each in sent if each in accepted)
        assert len(seen._accepted[b"north"].names) <= kept


def test_requests_at_a_rising_time_all_pass_however_many_there_are() -> None:
    seen = Replays()
    assert all(seen.is_new(request(NOW + number / 10)) for number in range(3 * module.KEPT))
    names, heap = seen._accepted[b"north"].names, seen._accepted[b"north"].oldest_first
    assert len(names) == len(heap) == module.KEPT


def test_requests_of_one_moment_are_told_apart_also_where_some_were_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    seen, sent = Replays(), [request(NOW, f"{number:032x}") for number in range(4)]
    assert [seen.is_new(each) for each in sent + sent] == [True] * 4 + [False] * 4


@pytest.mark.parametrize("jumped", [3 * WINDOW, 1e6])
def test_a_servers_clock_that_is_set_forward_and_back_lets_no_request_pass_twice(jumped: float) -> None:
    first, ahead, later = request(NOW), request(NOW + jumped), request(NOW + 1)
    seen = Replays()
    assert seen.is_new(first)
    assert seen.is_new(ahead)
    assert not seen.is_new(first)
    assert seen.is_new(later)  # what an honest site sends next is accepted


def test_a_site_whose_clock_is_set_back_is_heard_again_at_the_latest_when_its_clock_has_caught_up() -> None:
    seen = Replays()
    assert all(seen.is_new(request(NOW + number)) for number in range(module.KEPT + 1))
    assert seen.is_new(request(NOW + 0.5))  # later than the one that was forgotten
    assert not seen.is_new(request(NOW - 0.001))


def test_the_requests_of_one_key_make_no_room_for_those_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    seen, first = Replays(), request(NOW, key=b"east")
    assert seen.is_new(first)
    assert all(seen.is_new(request(NOW + number)) for number in range(9))
    assert not seen.is_new(first)
    assert seen.is_new(request(NOW - 9, key=b"east"))
