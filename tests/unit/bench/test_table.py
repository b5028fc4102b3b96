import json

import pytest

from bench.table import print_rows

ROWS = [{"views": "1", "accuracy": {"value": 0.5, "low": 0.4, "high": 0.6}, "epsilon": 7.99931, "train_seconds": 2.345}]


def test_rows_are_printed_as_a_table_with_intervals_and_epsilon_rounded_up(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, as_json=False)
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("0.500 (0.400 to 0.600)", "7.9994", "2.35"))


def test_json_has_the_rows_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, as_json=True)
    assert json.loads(capsys.readouterr().out) == ROWS
