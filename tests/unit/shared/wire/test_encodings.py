"""The encoding of a delta: its error against float64, its bytes, and that what is stored is what the server decodes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shared.adapters.state import AdapterState
from shared.errors import MessageError
from shared.wire.encodings import BLOCK, BLOCKS, HALF, as_replied
from shared.wire.packed_arrays import spec_text, unpacked

FINITE = st.floats(-(2.0**100), 2.0**100, width=32)
FLAT = hnp.arrays(np.float32, st.integers(0, 3 * BLOCK + 1), elements=FINITE)


@settings(max_examples=60)
@given(FLAT)
def test_a_number_is_off_by_at_most_half_a_step_of_its_block(flat: np.ndarray) -> None:  # type: ignore[type-arg]
    decoded = BLOCKS.read(BLOCKS.write(flat), flat.size)
    for start in range(0, flat.size, BLOCK):
        exact, found = (part[start : start + BLOCK].astype(np.float64) for part in (flat, decoded))
        peak = np.abs(exact).max()
        allowed = 127 * np.finfo(np.float32).tiny if peak < 1e-35 else 0.51 * peak / 127
        assert np.abs(found - exact).max() <= allowed


@settings(max_examples=60)
@given(hnp.arrays(np.uint32, st.integers(1, 2 * BLOCK)))
def test_a_decoded_delta_is_encoded_to_the_same_bytes_whatever_its_bits(bits: np.ndarray) -> None:  # type: ignore[type-arg]
    """So a stored reply that is sent again is the same reply; subnormal numbers, infinities and NaN included."""
    written = BLOCKS.write(bits.view(np.float32))
    decoded = BLOCKS.read(written, bits.size)
    assert BLOCKS.write(decoded).tobytes() == written.tobytes()
    finite = np.isfinite(bits.view(np.float32))
    for start in range(0, bits.size, BLOCK):
        assert np.isfinite(decoded[start : start + BLOCK]).all() == finite[start : start + BLOCK].all()


def test_noise_comes_through_with_a_small_error_at_a_quarter_of_the_bytes() -> None:
    flat = np.random.default_rng(1).normal(size=6400).astype(np.float32)
    written = BLOCKS.write(flat)
    assert written.nbytes == BLOCKS.length(6400) == 6400 + 2 * 100
    error = BLOCKS.read(written, 6400).astype(np.float64) - flat
    assert 0.001 < np.linalg.norm(error) / np.linalg.norm(flat) < 0.01
    assert HALF.write(flat).nbytes == 2 * 6400


@pytest.mark.parametrize("off", [-1, 1, 2, BLOCK])
def test_an_array_of_another_length_is_refused(off: int) -> None:
    with pytest.raises(MessageError, match="not exactly those"):
        unpacked("b=10x13", np.zeros(BLOCKS.length(130) + off, dtype=np.uint8), "reply", BLOCKS)


def test_any_bytes_are_decoded_to_numbers_and_none_ends_the_server() -> None:
    for byte in (0, 127, 128, 255):  # scales such as infinity and NaN, and a step that no encoder writes
        state = unpacked("b=10x13", np.full(BLOCKS.length(130), byte, dtype=np.uint8), "reply", BLOCKS)
        assert state.spec == (("b", (10, 13)),)
        assert state.is_finite == (byte in (0, 128))


def test_a_delta_as_the_server_decodes_it_is_left_alone_when_it_is_sent() -> None:
    generator = np.random.default_rng(2)
    shapes = {"b": (3, 50), "head": (), "a": (7,)}
    delta = AdapterState({name: np.asarray(generator.normal(size=shape), np.float32) for name, shape in shapes.items()})
    kept = as_replied(delta, "int8")
    assert kept.spec == delta.spec
    assert as_replied(kept, "int8").digest() == kept.digest() != delta.digest()
    flat = np.concatenate([array.reshape(-1) for array in kept.arrays.values()])
    assert unpacked(spec_text(delta.spec), BLOCKS.write(flat), "reply", BLOCKS).digest() == kept.digest()
    assert as_replied(delta, "float32") is delta
