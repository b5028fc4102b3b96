"""A run whose sites are dealt out of one file, and measured on another: the shipped config, a tiny model, few records."""

import csv
import json
from pathlib import Path

import pytest

from server.report.result import RunResult
from shared.config.run import RunConfig
from shared.errors import DataError
from simulations.assembly import declared_groups
from simulations.predict import answer, score
from simulations.run import simulate

pytestmark = pytest.mark.slow  # the real anonymiser

CONFIG = Path(__file__).parents[3] / "configs" / "banking.toml"
QUESTIONS = {
    "card": "My card is not working at the counter",
    "loan": "How do I repay the loan early",
    "rate": "Which rate do you use for dollars",
}


def write(path: Path, each: int) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=";")  # as a spreadsheet writes it in half of Europe
        writer.writerow(["text", "category", "branch"])
        writer.writerows([f"{text}, {n}", label, "ab"[n % 2]] for label, text in QUESTIONS.items() for n in range(each))
        writer.writerow(["", "card", "a"])
    return path


@pytest.fixture(scope="module")
def banking(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    folder = tmp_path_factory.mktemp("banking")
    write(folder / "train.csv", 12)
    changes = {"data.root": folder, "evaluation.file": write(folder / "test.csv", 4), "run.output": folder}
    changes |= {"model.name": tiny_bert, "model.max_length": 24, "adapter.last_layers": 1, "adapter.rank": 2}
    changes |= {"data.sites": "{count = 10, declared_size = 10}", "cohort.min_records": 2, "training.rounds": 1}
    changes |= {"evaluation.bootstrap": 100, "evaluation.every": 1, "anonymise.level": "fast", "anonymise.workers": 1}
    changes |= {
        "training.steps": 1,
        "privacy.epsilon": 1.0,
        "evaluation.probes.group": "branch",
        **{f"evaluation.probes.{name}": "[]" for name in ("noises", "swaps")},
        **{f"evaluation.probes.{name}": "false" for name in ("backdoor", "forgetting")},
    }
    return RunConfig.load(CONFIG, [f"{name}={value}" for name, value in changes.items()])


@pytest.fixture(scope="module")
def done(banking: RunConfig) -> RunResult:
    return simulate(banking)


def test_the_config_of_ten_sites_from_one_pool_has_25_lines_at_most() -> None:
    assert len(CONFIG.read_text(encoding="utf-8").splitlines()) <= 25


def test_ten_sites_train_on_all_of_the_pool_and_are_measured_on_the_other_file(banking: RunConfig, done: RunResult) -> None:
    assert banking.task.labels == ("card", "loan", "rate")
    sites = done.report["sites"]
    assert [site["site_id"] for site in sites] == [f"site-{number:02}" for number in range(1, 11)]
    assert sum(site["records"] + site["quarantined"] for site in sites) == 37
    assert {site["held_out"] for site in sites} == {0}
    assert [site["quarantine_reasons"] for site in sites if site["quarantined"]] == [{"empty": 1}]
    assert done.report["assessment"]["records"] == 12
    assert done.report["by_site"] == {}
    card = json.loads((done.folder / "privacy_card.json").read_text(encoding="utf-8"))
    assert "held-out records of its own" in json.dumps(card)
    assert set(declared_groups(banking, [])["server"].values()) == {"a", "b"}


def test_a_finished_adapter_is_used_with_other_settings(banking: RunConfig, done: RunResult) -> None:
    adapter, file = done.folder / "adapter", banking.evaluation.file
    assert file is not None
    found = score(adapter, file, ["evaluation.max_records=5"])
    assert (found["records"], found["quarantined"]) == (5, 1)
    assert answer(adapter, "my card", 1, ["model.max_length=8"]) in QUESTIONS


def test_a_bad_test_file_is_refused_before_anything_else(banking: RunConfig, tmp_path: Path) -> None:
    evaluation = banking.evaluation.model_copy(update={"file": tmp_path / "none.csv"})
    run = banking.run.model_copy(update={"output": tmp_path})
    with pytest.raises(DataError, match=r"none.csv: no such file"):
        simulate(banking.model_copy(update={"evaluation": evaluation, "run": run}))
