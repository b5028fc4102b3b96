import pytest

from simulations.display.bars import Bars


def test_without_a_terminal_each_stage_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        bars("anonymise", 30)(30)
        bars("assess", 0)
    lines = [line.split(" ", 1)[1] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["anonymise records: 0 of 30", "anonymise records: 30 of 30", "measure the anonymisation"]
