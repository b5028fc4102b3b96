import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.seeds import derive, signs, stream

names = st.lists(st.text(max_size=5) | st.integers(), max_size=3)


@given(st.integers(0, 2**31 - 1), names)
def test_a_stream_follows_from_seed_and_name(seed: int, path: list[str | int]) -> None:
    assert 0 <= derive(seed, *path) < 2**63
    assert stream(seed, *path).random() == stream(seed, *path).random()


def test_streams_of_other_seeds_and_names_are_others() -> None:
    keys = [(0,), (1,), (0, "a"), (0, "b"), (0, "a", 1), (0, "a", 2), (1, "a")]
    assert len({derive(*key) for key in keys}) == len(keys)


def test_signs_are_balanced_fixed_and_named() -> None:
    drawn = signs((64, 100), 7, "x")
    assert set(np.unique(drawn)) == {-1.0, 1.0}
    assert drawn.dtype == np.float32
    assert abs(drawn.sum()) < 5 * 80
    np.testing.assert_array_equal(drawn, signs((64, 100), 7, "x"))
    for other in (signs((64, 100), 8, "x"), signs((64, 100), 7, "y")):
        assert abs((drawn * other).sum()) < 5 * 80


def test_the_first_signs_never_change() -> None:
    # Every site must start from the same bits, so these are part of the contract between versions.
    assert signs((2, 8), 0, "lora_A").ravel().tolist() == EXPECTED


EXPECTED = [-1, 1, 1, 1, 1, -1, 1, -1, 1, 1, 1, 1, 1, 1, -1, 1]
