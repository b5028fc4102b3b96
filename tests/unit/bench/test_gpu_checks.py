"""Each check of the command for a machine with a GPU can fail."""

from pathlib import Path
from typing import Any

import pytest
import torch

from bench import gpu_checks
from bench.gpu_checks import PACKED, PADDED, Way, exactness, noise, small_config
from privacy.dp.noise import rounded_gaussian
from shared.models import packing

CPU = torch.device("cpu")


@pytest.fixture
def config(tmp_path: Path) -> Any:
    return small_config("instruction", tmp_path / "model", CPU, tiny=True)


@pytest.mark.parametrize("batch", [PADDED, PACKED])
def test_a_kernel_that_is_wrong_only_in_16_bits_fails_its_own_row(
    config: Any, monkeypatch: pytest.MonkeyPatch, batch: str
) -> None:
    true = packing._attention

    def wrong(module: Any, query: Any, key: Any, value: Any, *rest: Any, **more: Any) -> Any:
        return true(module, query, key, value.roll(1, 2) if value.dtype is torch.bfloat16 else value, *rest, **more)

    monkeypatch.setattr(packing, "_attention", wrong)
    [half], [whole] = (exactness(config, Way(dtype, batch)) for dtype in ("bfloat16", "float32"))
    assert half.passed is (batch == PADDED)
    assert whole.passed is True


@pytest.mark.parametrize("fault", ["too little", "off its mean"])
def test_noise_that_is_not_what_was_asked_for_fails_a_row(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    def wrong(count: int, std: float, device: torch.device) -> torch.Tensor:
        return rounded_gaussian(count, std * (0.9 if fault == "too little" else 1), device) + int(
            std / 5 * (fault != "too little")
        )

    monkeypatch.setattr(gpu_checks, "rounded_gaussian", wrong)
    rows = {row.name: row.passed for row in noise(CPU, 1 << 14)}
    assert rows["standard deviation" if fault == "too little" else "mean"] is False
