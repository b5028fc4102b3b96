"""An adapter as one array and one text: nothing is lost, and of all texts one is accepted."""

import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shared.adapters.state import AdapterState
from shared.errors import MessageError
from shared.wire.packed_arrays import packed, spec_text, unpacked

NAMES = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=12)
ARRAYS = hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))


@given(st.dictionaries(NAMES, ARRAYS, max_size=4))
def test_names_order_shapes_and_bits_survive(arrays: dict[str, np.ndarray]) -> None:  # type: ignore[type-arg]
    state = AdapterState(arrays)
    again = unpacked(spec_text(state.spec), packed(state), "reply")
    assert again.spec == state.spec
    assert [array.tobytes() for array in again.arrays.values()] == [array.tobytes() for array in arrays.values()]


@given(st.text("ab=;x0123456789. -\n", max_size=30))
def test_a_text_is_refused_unless_it_is_the_one_of_its_spec(text: str) -> None:
    try:
        state = unpacked(text, np.zeros(6, dtype=np.float32), "reply")
    except MessageError:
        return
    assert spec_text(state.spec) == text


def test_the_size_is_compared_before_anything_is_made() -> None:
    with pytest.raises(MessageError, match="not exactly those"):
        unpacked("b=9999999999x9999999999", np.zeros(5, dtype=np.float32), "reply")
