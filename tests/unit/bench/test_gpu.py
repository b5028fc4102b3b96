"""The command for a machine with a GPU: on a CPU it takes the same path, and each of its checks can fail."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import gpu
from privacy.dp.noise import rounded_gaussian
from shared.models import packing

CPU = torch.device("cpu")


@pytest.mark.slow
def test_on_a_cpu_the_command_takes_every_path_and_all_checks_pass(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["gpu", "--device", "cpu", "--tiny"])
    gpu.main()
    found = json.loads((tmp_path / gpu.OUTPUT).read_text(encoding="utf-8"))
    rows = {(row["part"], row["name"]): row for row in found["rows"]}
    assert not [row for row in rows.values() if row["passed"] is False]
    for kind in ("decoder", "encoder"):
        ways = [rows[f"exactness, {kind}", way.name] for way in gpu.paths()]
        assert all(row["passed"] or row["seen"] == "left out: bitsandbytes is not installed" for row in ways)
        assert sum(row["passed"] is True for row in ways) >= 8
    assert rows["two processes", "clipped sum, against one process"]["numbers"]["apart"] < 1e-6
    steps = {name: row for (_, name), row in rows.items() if name.startswith("step, ")}
    assert len(steps) == 7
    assert all(row["numbers"]["seconds"] > 0 for row in steps.values())
    assert "noise, meter" in capsys.readouterr().out


@pytest.fixture
def config(tmp_path: Path) -> Any:
    return gpu.small_config("instruction", tmp_path / "model", CPU, tiny=True)


@pytest.mark.parametrize("batch", [gpu.PADDED, gpu.PACKED])
def test_a_kernel_that_is_wrong_only_in_16_bits_fails_its_own_row(
    config: Any, monkeypatch: pytest.MonkeyPatch, batch: str
) -> None:
    true = packing._attention

    def wrong(module: Any, query: Any, key: Any, value: Any, *rest: Any, **more: Any) -> Any:
        return true(module, query, key, value.roll(1, 2) if value.dtype is torch.bfloat16 else value, *rest, **more)

    monkeypatch.setattr(packing, "_attention", wrong)
    [half], [whole] = (gpu.exactness(config, gpu.Way(dtype, batch)) for dtype in ("bfloat16", "float32"))
    assert half.passed is (batch == gpu.PADDED)
    assert whole.passed is True


@pytest.mark.parametrize("fault", ["too little", "off its mean"])
def test_noise_that_is_not_what_was_asked_for_fails_a_row(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    def wrong(count: int, std: float, device: torch.device) -> torch.Tensor:
        return rounded_gaussian(count, std * (0.9 if fault == "too little" else 1), device) + int(
            std / 5 * (fault != "too little")
        )

    monkeypatch.setattr(gpu, "rounded_gaussian", wrong)
    rows = {row.name: row.passed for row in gpu.noise(CPU, 1 << 14)}
    assert rows["standard deviation" if fault == "too little" else "mean"] is False


@pytest.mark.parametrize(("error", "passed"), [(torch.OutOfMemoryError("x"), None), (RuntimeError("a text"), False)])
def test_a_variant_that_another_library_cannot_run_leaves_the_others_their_rows(
    error: Exception, passed: bool | None
) -> None:
    def failing() -> gpu.Row:
        raise error

    row = gpu._unless_full("part", "name", failing)
    assert row.passed is passed
    assert "a text" not in row.seen


@pytest.mark.parametrize(("memory", "billions"), [(16e9, 1), (40e9, 3), (80e9, 8)])
def test_the_model_is_as_large_as_the_device_has_room_for(
    monkeypatch: pytest.MonkeyPatch, memory: float, billions: int
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: type("P", (), {"total_memory": memory}))
    shape = gpu._shape(torch.device("cuda"), tiny=False, billions=None)
    assert shape["hidden_size"] == gpu.SHAPES[billions][1]["hidden_size"]


def test_without_a_gpu_it_says_so_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu"])
    with pytest.raises(SystemExit, match=r"^bench\.gpu: model\.device = 'cuda': not available on this machine"):
        gpu.main()
