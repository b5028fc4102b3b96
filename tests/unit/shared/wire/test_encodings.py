"""The encoding of a delta: its error against float64, its bytes, and that what is stored is what the server decodes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shared.adapters.state import AdapterState
from shared.config.aggregation import EncodingName
from shared.errors import MessageError
from shared.wire.encodings import BLOCK, BLOCKS, NIBBLE_BLOCKS, Form, as_ordered, as_replied
from shared.wire.packed_arrays import spec_text, unpacked

FINITE = st.floats(-(2.0**100), 2.0**100, width=32)
ROUNDED = pytest.mark.parametrize(("form", "largest"), [(BLOCKS, 127), (NIBBLE_BLOCKS, 7)], ids=["8 bits", "4 bits"])
FLAT = hnp.arrays(np.float32, st.integers(0, 3 * BLOCK + 1), elements=FINITE)


@ROUNDED
@settings(max_examples=60)
@given(flat=FLAT)
def test_a_number_is_off_by_at_most_half_a_step_of_its_block(form: Form, largest: int, flat: np.ndarray) -> None:  # type: ignore[type-arg]
    decoded = form.read(form.write(flat), flat.size)
    for start in range(0, flat.size, BLOCK):
        exact, found = (part[start : start + BLOCK].astype(np.float64) for part in (flat, decoded))
        peak = np.abs(exact).max()
        allowed = largest * np.finfo(np.float32).tiny if peak < 1e-35 else 0.51 * peak / largest
        assert np.abs(found - exact).max() <= allowed


@ROUNDED
@settings(max_examples=60)
@given(bits=hnp.arrays(np.uint32, st.integers(1, 2 * BLOCK)))
def test_a_decoded_delta_is_encoded_to_the_same_bytes_whatever_its_bits(
    form: Form,
    largest: int,
    bits: np.ndarray,  # type: ignore[type-arg]
) -> None:
    """So a stored reply that is sent again is the same reply; subnormal numbers, infinities and NaN included."""
    written = form.write(bits.view(np.float32))
    decoded = form.read(written, bits.size)
    assert written.shape == (form.length(bits.size),)
    assert form.write(decoded).tobytes() == written.tobytes()
    finite = np.isfinite(bits.view(np.float32))
    for start in range(0, bits.size, BLOCK):
        assert np.isfinite(decoded[start : start + BLOCK]).all() == finite[start : start + BLOCK].all()


@pytest.mark.parametrize(
    ("form", "size", "low", "high"), [(BLOCKS, 1 + 2 / 64, 0.001, 0.01), (NIBBLE_BLOCKS, 0.5 + 2 / 64, 0.05, 0.15)]
)
def test_noise_comes_through_with_a_small_error_in_few_bytes(form: Form, size: float, low: float, high: float) -> None:
    flat = np.random.default_rng(1).normal(size=6400).astype(np.float32)
    written = form.write(flat)
    assert written.nbytes == 6400 * size == 6400 * form.bytes_a_number
    error = form.read(written, 6400).astype(np.float64) - flat
    assert low < np.linalg.norm(error) / np.linalg.norm(flat) < high


@ROUNDED
@pytest.mark.parametrize("off", [-1, 1, 2, BLOCK])
def test_an_array_of_another_length_is_refused(form: Form, largest: int, off: int) -> None:
    with pytest.raises(MessageError, match="not exactly those"):
        unpacked("b=10x13", np.zeros(form.length(130) + off, dtype=form.dtype), "reply", form)


@ROUNDED
def test_any_bytes_are_decoded_to_numbers_and_none_ends_the_server(form: Form, largest: int) -> None:
    for byte in (0, 127, 128, 255):  # scales such as infinity and NaN, and a step that no encoder writes
        array = np.full(form.length(130) * np.dtype(form.dtype).itemsize, byte, dtype=np.uint8).view(form.dtype)
        state = unpacked("b=10x13", array, "reply", form)
        assert state.spec == (("b", (10, 13)),)
        assert state.is_finite == (byte in (0, 128))


@pytest.mark.parametrize(("name", "form"), [("int8", BLOCKS), ("int4", NIBBLE_BLOCKS)])
def test_a_delta_as_the_server_decodes_it_is_left_alone_when_it_is_sent(name: EncodingName, form: Form) -> None:
    generator = np.random.default_rng(2)
    shapes = {"b": (3, 50), "head": (), "a": (7,)}
    delta = AdapterState({name: np.asarray(generator.normal(size=shape), np.float32) for name, shape in shapes.items()})
    kept = as_replied(delta, name)
    assert kept.spec == delta.spec
    assert as_replied(kept, name).digest() == kept.digest() != delta.digest()
    flat = np.concatenate([array.reshape(-1) for array in kept.arrays.values()])
    assert unpacked(spec_text(delta.spec), form.write(flat), "reply", form).digest() == kept.digest()
    assert as_replied(delta, "float32") is as_ordered(delta, "float32") is delta
    assert as_ordered(delta, name).digest() == as_replied(delta, "int8").digest()  # an order has 8 bits with both
