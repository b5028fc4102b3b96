"""Times of a large model's step on a GPU: what a variant cannot do costs no other its row."""

import pytest
import torch

from bench import gpu_steps
from bench.gpu_checks import Row


@pytest.mark.parametrize(("error", "passed"), [(torch.OutOfMemoryError("x"), None), (RuntimeError("a text"), False)])
def test_a_variant_that_another_library_cannot_run_leaves_the_others_their_rows(
    error: Exception, passed: bool | None
) -> None:
    def failing() -> Row:
        raise error

    row = gpu_steps._unless_full("part", "name", failing)
    assert row.passed is passed
    assert "a text" not in row.seen


@pytest.mark.parametrize(("memory", "billions"), [(16e9, 1), (40e9, 3), (80e9, 8)])
def test_the_model_is_as_large_as_the_device_has_room_for(
    monkeypatch: pytest.MonkeyPatch, memory: float, billions: int
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: type("P", (), {"total_memory": memory}))
    shape = gpu_steps.large_shape(torch.device("cuda"), tiny=False, billions=None)
    assert shape["hidden_size"] == gpu_steps.SHAPES[billions][1]["hidden_size"]
