from typing import Any

import pytest

from shared.ops.progress import logged, silent


def test_a_long_stage_logs_now_and_then_how_fast_it_goes_and_how_long_it_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, lines = [0.0], list[dict[str, Any]]()
    monkeypatch.setattr("shared.ops.progress.time.monotonic", lambda: clock[0])
    advance = logged(lambda step, **numbers: lines.append({"step": step, **numbers}))("paraphrase", 100)
    for _ in range(10):
        clock[0] += 10
        advance(10)
    assert lines[0] == {"step": "paraphrase", "done": 0, "of": 100}
    assert lines[1] == {"step": "paraphrase", "done": 30, "of": 100, "a_second": 1.0, "seconds_left": 70}
    assert [each["done"] for each in lines] == [0, 30, 60, 90, 100]


def test_a_stage_without_units_is_one_line_and_silence_is_none() -> None:
    lines = list[dict[str, Any]]()
    logged(lambda step, **numbers: lines.append({"step": step, **numbers}))("load_model", 0)(1)
    silent("load_model", 7)(7)
    assert lines == [{"step": "load_model"}]
