"""The comparison of the two ways of sampling: equal runs but for the way, and the figures that they gave."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from shared.config import RunConfig
from shared.errors import PrivacyError
from shared.metrics import Interval
from simulations import bench_sampling as module
from simulations.progress import Progress


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """The runs that were asked for, none of which is carried out."""
    asked: list[RunConfig] = []

    def measured(config: RunConfig, *_: Any) -> tuple[str, Interval]:
        asked.append(config)
        return "accuracy", Interval(config.privacy.epsilon / 100 + (config.training.sampling == "cyclic"), 0.0, 1.0)

    monkeypatch.setattr(module, "measured", measured)
    monkeypatch.setattr(module, "read_sites", lambda *_: {})
    monkeypatch.setattr(module, "scrub_sites", lambda *_: [])
    return asked


def test_both_ways_run_as_often_at_each_epsilon_and_differ_in_nothing_else(
    runs: list[RunConfig], config_of: Callable[..., RunConfig], silent: Progress
) -> None:
    name, found = module.scores(config_of(), silent)
    assert name == "accuracy"
    assert found[8.0, "poisson"] == [0.08] * module.DRAWS
    assert found[1.0, "cyclic"] == [1.01] * module.DRAWS
    assert set(Counter((run.privacy.epsilon, run.training.sampling) for run in runs).values()) == {module.DRAWS}

    def rest(run: RunConfig) -> Mapping[str, Any]:
        tree = run.model_dump(mode="json")
        return {**tree, "privacy": {**tree["privacy"], "epsilon": 0}, "training": {**tree["training"], "sampling": ""}}

    assert all(rest(run)["training"] == rest(runs[0])["training"] for run in runs)
    assert all(rest(run)["privacy"] == rest(runs[0])["privacy"] for run in runs)


def test_a_failure_is_one_line(
    runs: list[RunConfig], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    def refused(*_: Any) -> Any:
        raise PrivacyError("training.steps = 3: no whole passes")

    monkeypatch.setattr(module, "measured", refused)
    with pytest.raises(SystemExit) as ended:
        module.main("configs/utility.toml")
    assert ended.value.code == 1
    assert "training.steps = 3" in capsys.readouterr().err
