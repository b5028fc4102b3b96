"""The command for a machine with a GPU takes the same path on a CPU, and says in one sentence that no GPU is there."""

import json
from pathlib import Path

import pytest
import torch

from bench import gpu
from bench.gpu_checks import ways


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
        tried = [rows[f"exactness, {kind}", way.name] for way in ways()]
        assert all(row["passed"] or row["seen"] == "left out: bitsandbytes is not installed" for row in tried)
        assert sum(row["passed"] is True for row in tried) >= 8
    assert rows["two processes", "clipped sum, against one process"]["numbers"]["apart"] < 1e-6
    steps = {name: row for (_, name), row in rows.items() if name.startswith("step, ")}
    assert len(steps) == 7
    assert all(row["numbers"]["seconds"] > 0 for row in steps.values())
    assert "noise, meter" in capsys.readouterr().out


def test_without_a_gpu_it_says_so_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu"])
    with pytest.raises(SystemExit, match=r"^bench\.gpu: model\.device = 'cuda': not available on this machine"):
        gpu.main()
