"""A study trains each cell once, keeps what is finished, and names the largest loss of each way."""

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from bench import study as module
from bench.study import losses, rows_of, run
from bench.study_cells import Study
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.tasks.classification import ClassOutcome

FILES = ("bench/rates.toml", "bench/trust.toml", "bench/trust_sentiment.toml", "bench/methods.toml")


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
    monkeypatch.setattr(module, "_bytes_of_a_round", lambda *_: 10)
    monkeypatch.setattr(module, "_records", lambda study, cell: study.folder.mkdir(parents=True, exist_ok=True) or [])
    Fake.trained = []
    return Study.load(Path("bench/rates.toml"), [f'run.output="{tmp_path}"'])


@pytest.mark.parametrize("file", FILES)
def test_every_cell_of_the_studies_is_a_run_of_its_own(file: str) -> None:
    cells = list(Study.load(Path(file)).cells())
    assert len({cell.key for cell in cells}) == len(cells) > 10
    for cell in cells:
        assert len(cell.config.data.sites) == (cell.task.sites or 3)
        assert cell.config.privacy.enabled is (cell.epsilon is not None)


def test_a_stopped_study_goes_on_where_it_was(study: Study) -> None:
    cells = list(study.cells())
    run(study, -1)
    assert not Fake.trained
    assert not rows_of(study)
    run(study, float("inf"))
    run(study, float("inf"))
    assert [cell.config for cell in cells] == Fake.trained
    rows = rows_of(study)
    assert len(rows) == len(cells)
    assert {row["accuracy"]["value"] for row in rows if row["epsilon"] == 3.0} == {0.3}


def test_a_task_may_have_epsilons_of_its_own(study: Study) -> None:
    first = study.section.tasks[0].model_copy(update={"epsilons": (3.0,)})
    tasks = (first, *study.section.tasks[1:])
    cells = list(replace(study, section=study.section.model_copy(update={"tasks": tasks})).cells())
    assert {cell.epsilon for cell in cells if cell.task.name == first.name} - {None} == {3.0}
    assert {cell.epsilon for cell in cells if cell.task.name != first.name} - {None} == {1.0, 3.0, 8.0}


def test_a_task_without_generated_sites_trains_the_sites_of_the_run() -> None:
    study = Study.load(Path("bench/trust_sentiment.toml"))
    assert {tuple(site.file for site in cell.config.data.sites) for cell in study.cells()} == {
        ("amazon.jsonl", "movies.jsonl", "tweets.jsonl")
    }


def test_several_studies_give_one_table(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(study.folder.parent)
    files = ["bench/rates.toml", "bench/methods.toml"]
    monkeypatch.setattr(sys, "argv", ["study", *files, "--json", "--set", f'run.output="{folder}"'])
    module.main()
    rows = json.loads(capsys.readouterr().out)
    tasks = {task.name for file in files for task in Study.load(Path(file)).section.tasks}
    assert {row["task"] for row in rows} == tasks


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


METHODS_STUDY = Path("bench/methods.toml")


def test_a_way_may_have_mixed_ranks_and_is_trained_with_and_without_privacy() -> None:
    cells = [cell for cell in Study.load(METHODS_STUDY).cells() if cell.way.ranks]
    assert {tuple(cell.config.ranks.values()) for cell in cells} == {(4, 8, 16, 4, 8, 16)}
    assert {cell.epsilon for cell in cells} == {None, 8.0}


def test_the_bytes_of_a_round_are_those_of_each_sites_rank_in_the_runs_encoding() -> None:
    adapter = AdapterState({"x.lora_B.default.weight": np.zeros((64, 16), np.float32)})
    sent = {cell.way.name: module._bytes_of_a_round(cell.config, adapter) for cell in Study.load(METHODS_STUDY).cells()}
    assert sent["mean of B"] == 6 * 64 * 16 * (4 + 4)
    assert sent["mean of B, int8"] == 6 * 64 * 16 * 2 * (1 + 2 / 64)
    assert sent["ranks 4, 8, 16"] == 2 * 64 * (4 + 8 + 16) * (4 + 4)


def test_records_that_were_generated_are_dealt_out_anew_where_a_task_says_how(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "scrub_sites", lambda config, raw, folder: raw)
    study = Study.load(METHODS_STUDY, [f'run.output="{tmp_path}"'])
    small = [task.model_copy(update={"records": 60, "declared_size": 30}) for task in study.section.tasks]
    study = replace(study, section=study.section.model_copy(update={"tasks": tuple(small)}))
    uneven, alike = list[int](), list[int]()
    for found, task in ((alike, "6 sites, alike"), (uneven, "6 sites, Dirichlet(0.3)")):
        cell = next(cell for cell in study.cells() if cell.task.name == task)
        records: dict[str, list[Any]] = module._records(study, cell)  # type: ignore[assignment]
        assert {len(own) for own in records.values()} == {60}
        found += [max(Counter(record.label for record in own).values()) for own in records.values()]
    assert max(alike) < 25 < max(uneven)
