"""A study trains each cell once, keeps what is finished, and names the largest loss of each way."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from bench import study as module
from bench.study import Study, losses
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.tasks.classification import ClassOutcome

FILES = ("bench/rates.toml", "bench/trust.toml")


class Fake:
    """A federation that is right more often the larger epsilon is."""

    trained: ClassVar[list[RunConfig]] = []

    @classmethod
    def of(cls, *_: object) -> "Fake":
        return cls()

    @property
    def start(self) -> "Fake":
        return self

    parameters = 10

    def outcome(self, config: RunConfig, plans: object) -> ClassOutcome:
        self.trained.append(config)
        hits = int(config.privacy.epsilon) if config.privacy.enabled else 10
        truth = np.zeros(10, dtype=np.int64)
        return ClassOutcome(labels=("a", "b"), truth=truth, predicted=(np.arange(10) >= hits).astype(np.int64))


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Study:
    monkeypatch.setattr(module, "BareFederation", Fake)
    monkeypatch.setattr(module, "site_plans", lambda *_: {})
    monkeypatch.setattr(Study, "_records", lambda self, cell: self.folder.mkdir(parents=True, exist_ok=True) or [])
    Fake.trained = []
    return Study.load(Path("bench/rates.toml"), [f'run.output="{tmp_path}"'])


@pytest.mark.parametrize("file", FILES)
def test_every_cell_of_the_studies_is_a_run_of_its_own(file: str) -> None:
    cells = list(Study.load(Path(file)).cells())
    assert len({cell.key for cell in cells}) == len(cells) > 10
    for cell in cells:
        assert len(cell.config.data.sites) == cell.task.sites
        assert cell.config.privacy.enabled is (cell.epsilon is not None)


def test_a_stopped_study_goes_on_where_it_was(study: Study) -> None:
    cells = list(study.cells())
    study.run(-1)
    assert not Fake.trained
    assert not study.rows()
    study.run(float("inf"))
    study.run(float("inf"))
    assert [cell.config for cell in cells] == Fake.trained
    rows = study.rows()
    assert len(rows) == len(cells)
    assert {row["accuracy"]["value"] for row in rows if row["epsilon"] == 3.0} == {0.3}


def test_the_loss_of_a_way_is_its_distance_from_the_best_way_of_the_worst_cell() -> None:
    def row(way: str, epsilon: float | None, value: float) -> dict[str, object]:
        return {"task": "t", "way": way, "epsilon": epsilon, "accuracy": {"value": value}}

    found = losses([row("a", 1, 0.5), row("b", 1, 0.6), row("a", 8, 0.8), row("b", 8, 0.5), row("free", None, 0.9)])
    assert [(each["way"], round(each["largest loss"], 6), each["in"]) for each in found] == [
        ("a", 10, "t, epsilon 1"),
        ("b", 30, "t, epsilon 8"),
    ]


def test_a_field_that_a_study_does_not_have_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("[study]\nepsilon = [1.0]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"study"):
        Study.load(tmp_path / "s.toml")
