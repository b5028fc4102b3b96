from typing import Any

import pytest

from client.progress import Pace


def test_a_long_step_tells_now_and_then_how_fast_it_goes_and_how_long_it_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, told = [0.0], list[dict[str, Any]]()
    monkeypatch.setattr("client.progress.time.monotonic", lambda: clock[0])
    pace = Pace(lambda step, **numbers: told.append({"step": step, **numbers}), "paraphrase", 100)
    for _ in range(10):
        clock[0] += 10
        pace.advance(10)
    assert told[0] == {"step": "paraphrase", "done": 0, "of": 100}
    assert told[1] == {"step": "paraphrase", "done": 30, "of": 100, "a_second": 1.0, "seconds_left": 70}
    assert [each["done"] for each in told] == [0, 30, 60, 90, 100]
