from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save_file

from shared.adapters.state import AdapterState
from shared.errors import ModelError

shapes = st.lists(hnp.array_shapes(min_dims=1, max_dims=2, max_side=4), min_size=1, max_size=3)
numbers = st.floats(-1e6, 1e6, width=32)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[AdapterState, AdapterState]:
    chosen = draw(shapes)
    return tuple(  # type: ignore[return-value]
        AdapterState({f"layer{i}": draw(hnp.arrays(np.float32, s, elements=numbers)) for i, s in enumerate(chosen)})
        for _ in range(2)
    )


def state(**arrays: list[float]) -> AdapterState:
    return AdapterState({name: np.array(values, dtype=np.float32) for name, values in arrays.items()})


@given(pairs())
def test_adding_a_delta_to_where_it_started_gives_where_it_ended(pair: tuple[AdapterState, AdapterState]) -> None:
    before, after = pair
    again = before.add(after.minus(before))
    largest = max(float(np.abs(a).max()) for s in pair for a in s.arrays.values())
    for name, array in after.arrays.items():
        np.testing.assert_allclose(again.arrays[name], array, atol=largest * 2**-22)
    assert again.spec == after.spec
    assert all(array.dtype == np.float32 for array in again.arrays.values())


@given(pairs())
def test_arithmetic_leaves_its_operands_alone(pair: tuple[AdapterState, AdapterState]) -> None:
    before, after = pair
    digests = before.digest(), after.digest()
    after.minus(before), before.add(after)
    assert (before.digest(), after.digest()) == digests


@given(pairs())
def test_the_norm_is_that_of_all_numbers_together(pair: tuple[AdapterState, AdapterState]) -> None:
    flat = np.concatenate([array.ravel() for array in pair[0].arrays.values()]).astype(np.float64)
    assert pair[0].norm == pytest.approx(np.linalg.norm(flat), rel=1e-12)
    assert pair[0].parameters == flat.size


def test_the_norm_of_huge_numbers_is_finite() -> None:
    assert state(a=[3e38, 3e38]).norm == pytest.approx(3e38 * 2**0.5, rel=1e-6)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_is_seen(number: float) -> None:
    assert state(a=[1.0], b=[2.0, 3.0]).is_finite
    assert not state(a=[1.0], b=[2.0, number]).is_finite


def test_the_digest_sees_names_shapes_values_and_order() -> None:
    states = [
        state(a=[1.0, 2.0], b=[3.0]),
        state(a=[1.0, 2.0], c=[3.0]),
        state(a=[1.0], b=[2.0, 3.0]),
        state(a=[1.0, 2.0], b=[np.nextafter(np.float32(3), np.float32(4))]),
        state(b=[3.0], a=[1.0, 2.0]),
        AdapterState({"a": np.array([[1.0, 2.0]], dtype=np.float32), "b": np.array([3.0], dtype=np.float32)}),
        state(a=[1.0, 2.0]),
    ]
    assert len({s.digest() for s in states}) == len(states)


def test_the_digest_does_not_see_memory_layout() -> None:
    plain = np.arange(6, dtype=np.float32).reshape(2, 3)
    turned = np.asfortranarray(plain)
    assert AdapterState({"a": plain}).digest() == AdapterState({"a": turned}).digest()


@pytest.mark.parametrize("other", [state(a=[1.0]), state(b=[1.0, 2.0]), state(a=[1.0, 2.0], b=[1.0])])
def test_states_of_different_spec_are_not_combined(other: AdapterState) -> None:
    mine = state(a=[1.0, 2.0])
    for operation in (mine.add, mine.minus):
        with pytest.raises(ModelError, match="different spec"):
            operation(other)


def test_a_saved_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    saved = AdapterState({"b": np.float32([[1e-42, -0.0], [3.5, 1e38]]), "a": np.float32([1.0]).T})
    saved.save(tmp_path / "a.safetensors")
    loaded = AdapterState.load(tmp_path / "a.safetensors")
    assert set(loaded.arrays) == {"a", "b"}
    for name, array in saved.arrays.items():
        assert array.tobytes() == loaded.arrays[name].tobytes()


def test_an_array_that_is_not_contiguous_is_saved_as_it_reads(tmp_path: Path) -> None:
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    AdapterState({"a": turned}).save(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(AdapterState.load(tmp_path / "a.safetensors").arrays["a"], turned)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"\x80\x04" + b])
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "a.safetensors"
    state(a=[1.0, 2.0]).save(path)
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(ModelError, match="not a readable safetensors file") as caught:
        AdapterState.load(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_another_dtype_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        AdapterState.load(tmp_path / "none.safetensors")
    save_file({"a": np.zeros(2, dtype=np.float64)}, tmp_path / "double.safetensors")
    with pytest.raises(ModelError, match="not float32"):
        AdapterState.load(tmp_path / "double.safetensors")


def test_a_state_does_not_print_its_numbers() -> None:
    assert "3.25" not in repr(state(a=[3.25]))
