"""Questions whose label hangs on the name of a disease are read, dealt out and changed as the measurement says."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench import topics as module
from bench.topics import Cell, cells, data_of, questions, train, without_subject
from shared.errors import DataError
from shared.tasks.classification import ClassOutcome

CONFIG = Path("bench/topics.toml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write thirty diseases for each institute, with two questions that count and one that does not."""
    for name in module.FIELDS:
        rows = [
            {"focus": f"{name} {at}", "qtype": kind, "question": question.format(f"{name} {at}")}
            for at in range(30)
            for kind, question in (
                ("information", "What is (are) {} ?"),
                ("treatment", "What are the treatments for {} ?"),
                ("outlook", "What is the outlook for {} ?"),
            )
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def test_only_questions_that_all_institutes_ask_are_read_and_each_once(folder: Path) -> None:
    records = questions(folder)
    assert len(records) == 240
    assert {record.label for record in records} == set(module.FIELDS.values())
    assert not [record for record in records if "outlook" in record.fields["text"]]


def test_a_folder_without_the_files_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="MedQuAD"):
        questions(tmp_path)


def test_without_its_subject_a_question_tells_nothing_of_its_label(folder: Path) -> None:
    assert len(set(without_subject(questions(folder)))) == len(module.KINDS)


def test_no_disease_is_on_both_sides_and_a_text_that_was_held_back_is_left_out(folder: Path) -> None:
    records = questions(folder)
    cell = next(cells(CONFIG, records, 1, ["raw"]))
    held = Cell(cell.way, cell.epsilon, cell.seed, cell.config, {**cell.texts, records[0].position: None})
    data = data_of(held, records)
    trains = {record.person for site in data for record in site.raw}
    tested = {each.position for site in data for each in site.held_out.records}
    assert not trains & {record.person for record in records if record.position in tested}
    assert sum(len(site.training.records) + len(site.held_out.records) for site in data) == len(records) - 1


def test_a_finished_training_is_kept(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records, kept, trained = questions(folder), tmp_path / "kept.jsonl", []

    class Fake:
        @classmethod
        def of(cls, *_: object) -> "Fake":
            return cls()

        def outcome(self, config: object, plans: object) -> ClassOutcome:
            trained.append(config)
            truth = np.zeros(4, dtype=np.int64)
            return ClassOutcome(labels=("a", "b"), truth=truth, predicted=np.array([0, 0, 0, 1]))

    monkeypatch.setattr(module, "BareFederation", Fake)
    monkeypatch.setattr(module, "site_plans", lambda *_: {})
    for _ in range(2):
        rows = train(cells(CONFIG, records, 2, ["raw", "no subject"]), records, kept, float("inf"))
    assert len(trained) == 8
    assert [(row["texts"], row["epsilon"], row["seeds"]) for row in rows] == [
        ("raw", None, 2),
        ("raw", 8.0, 2),
        ("no subject", None, 2),
        ("no subject", 8.0, 2),
    ]
    assert all(row["accuracy"]["value"] == 0.75 for row in rows)
