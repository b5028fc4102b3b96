"""The third task, on generated messages: labelled stretches from a site's file to spans in a report."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixture_types import Change, LearnerOf, Shake

from client.exactness import self_check
from shared.config.run import RunConfig
from shared.errors import ConfigError, DataError
from shared.records.read import read_records
from shared.records.types import Record, Span
from shared.tasks.base import Learner
from shared.tasks.examples import NO_CLASS
from simulations.predict import answer
from simulations.run import simulate

DRUGS, TIMES = ("aia", "bjb", "cic"), ("did", "eje")


def messages(count: int, seed: int) -> list[tuple[str, list[Span]]]:
    """Messages that name a drug and often a time, with both tagged."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        drug, time = random.choice(DRUGS), random.choice(TIMES)
        text = f"{random.choice(['fif', 'gkg'])} hlh {drug} hmh"  # words of the tiny vocabulary
        tags = [Span("drug", text.index(drug), len(text))]
        if random.random() < 0.7:
            tags.append(Span("time", len(text) + 5, len(text) + 8))
            text += f" hnh {time}"
        made.append((text + ".", tags))
    return made


def records(count: int, seed: int = 0) -> list[Record]:
    return [Record({"text": text}, None, n, tags=tuple(tags)) for n, (text, tags) in enumerate(messages(count, seed))]


@pytest.fixture
def tagging(classify: RunConfig, change: Change) -> RunConfig:
    task = {"name": "token_classification", "labels": ["drug", "time"]}
    return change(classify, {"task": task, "evaluation.bootstrap": 100})


@pytest.fixture
def learner(tagging: RunConfig, learner_of: LearnerOf, shake: Shake) -> Learner:
    made = learner_of(tagging)
    shake(made)
    made.model.eval()
    return made


def test_tags_become_bio_classes_of_the_tokens_that_they_touch(learner: Learner) -> None:
    text = "aia bjbxyz cic"
    record = Record({"text": text}, tags=(Span("time", 0, 3), Span("drug", 4, 14)))
    (example,) = learner.task.encode([record])
    pieces = learner.base.tokenizer.convert_ids_to_tokens(example.ids.tolist())
    names = ["O", "B-drug", "I-drug", "B-time", "I-time"]
    found = [(piece, "-" if n == NO_CLASS else names[n]) for piece, n in zip(pieces, example.target, strict=True)]
    assert found[:2] == [("[CLS]", "-"), ("aia", "B-time")]
    assert found[-1] == ("[SEP]", "-")
    assert [name for _, name in found[2:-1]] == ["B-drug"] + ["I-drug"] * (len(found) - 4)


def test_a_records_loss_is_the_mean_over_its_own_tokens_in_any_batch(learner: Learner) -> None:
    examples = learner.task.encode(records(6))
    with torch.no_grad(), learner.batch(examples) as batch:
        together = learner.task.losses(learner.model, batch)
    for example, loss in zip(examples, together, strict=True):
        with torch.no_grad():
            logits = learner.model(torch.tensor(example.ids)[None], torch.ones(1, len(example)))[0]
        target = torch.tensor(example.target)
        expected = F.cross_entropy(logits[target != NO_CLASS], target[target != NO_CLASS])
        assert float(loss) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("changes", [{}, {"adapter.rank": 0}])
@pytest.mark.parametrize("distillation", [0.0, 0.5])
def test_per_record_gradients_are_those_of_a_loop(
    tagging: RunConfig, learner_of: LearnerOf, shake: Shake, change: Change, changes: dict[str, Any], distillation: float
) -> None:
    if changes.get("adapter.rank") == 0:
        distillation = 0.0
    made = learner_of(change(tagging, changes))
    shake(made)
    assert made.packs
    self_check(made, made.task.encode(records(8)), 6, distillation)


def test_spans_are_counted_exactly_and_the_trivial_rule_learns_tokens(learner: Learner) -> None:
    training, test = (learner.task.encode(records(60, seed)) for seed in (1, 2))
    found = learner.task.trivial(training, test)
    assert found is not None
    values = {name: each.value for name, each in found.outcome.metrics(100, 0.95, 0).items()}
    assert values["span_f1"] > 0.9  # a drug is a drug wherever it stands
    perfect = learner.task._outcome([e.target for e in test], [e.target for e in test])
    assert perfect.primary().value() == 1
    assert perfect.damage().sum() == 0
    tags = sum(len(record.tags) for record in records(60, 2))
    rows = perfect.breakdown(100, 0.95, 0)["classes"]
    assert sum(row["records"] for row in rows) == tags == perfect.true.sum()
    none = learner.task._outcome([np.zeros(len(e), dtype=np.int64) for e in test], [e.target for e in test])
    assert none.primary().value() == 0
    assert none.damage().sum() == tags


def write(path: Path, rows: Sequence[tuple[str, list[Span]]]) -> None:
    lines = ({"text": text, "tags": [vars(tag) for tag in tags]} for text, tags in rows)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


@pytest.mark.parametrize(
    ("tags", "fault"),
    [
        ([Span("dose", 0, 3)], "not in task.labels"),
        ([Span("drug", 0, 3), Span("time", 2, 5)], "overlap"),
        ([Span("drug", 3, 3)], "empty"),
        ([Span("drug", 0, 99)], "outside the text"),
    ],
)
def test_tags_that_cannot_be_learnt_are_refused_without_the_text(
    tagging: RunConfig, tmp_path: Path, tags: list[Span], fault: str
) -> None:
    write(tmp_path / "north.jsonl", [("zqxjv kwp", tags)])
    with pytest.raises(DataError, match=fault) as caught:
        read_records(tmp_path / "north.jsonl", tagging)
    assert "zqxjv" not in str(caught.value)


def test_a_cut_text_keeps_the_tags_that_are_left(tagging: RunConfig, change: Change, tmp_path: Path) -> None:
    text = "aaaa bbbb cccc dddd eeee"
    write(tmp_path / "north.jsonl", [(text, [Span("time", 10, 24), Span("drug", 0, 4), Span("drug", 20, 24)][:2])])
    (record,) = read_records(tmp_path / "north.jsonl", change(tagging, {"data.cut_chars": 16}))
    assert record.fields["text"] == "aaaa bbbb cccc"
    assert record.tags == (Span("drug", 0, 4), Span("time", 10, 14))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"task.labels": []}, "needs at least 1 different labels"),
        ({"augmentation.views": 2}, "augmentation: it changes texts"),
        ({"data.columns.text": ["a", "b"]}, "tags count characters of one column"),
        ({"balance.weights": "counts"}, "has no label"),
        ({"adversary": {"column": "sex", "groups": ["f", "m"]}}, "cannot hide a group"),
    ],
)
def test_what_a_tagging_task_cannot_do_is_refused(
    tagging: RunConfig, change: Change, changes: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ConfigError, match=fault):
        change(tagging, changes)


@pytest.mark.slow  # the real anonymiser
def test_a_private_federation_learns_spans_end_to_end(tagging: RunConfig, change: Change, tmp_path: Path) -> None:
    shift = len("Dr Okafor: ")
    for seed, site in enumerate(("north", "south")):
        rows = [
            (f"Dr Okafor: {text}", [Span(tag.label, tag.start + shift, tag.end + shift) for tag in tags])
            for text, tags in messages(30, seed)
        ]
        write(tmp_path / f"{site}.jsonl", rows)
    config = change(
        tagging,
        {
            "data.root": str(tmp_path),
            "data.sites.0.declared_size": 24,
            "data.sites.1.declared_size": 24,
            "run.output": str(tmp_path / "runs"),
            "anonymise.workers": 1,
            "evaluation.probes": {"forgetting": True, "max_records": 20},
        },
    )
    result = simulate(config)
    folder, report = result.folder, result.report
    assert list(report["final"]) == ["span_f1", "span_precision", "span_recall"]
    assert [row["name"] for row in report["baselines"]] == ["most frequent tag"]
    assert [row["label"] for row in report["assessment"]["classification"]["classes"]] == ["drug", "time"]
    assert report["anonymisation"]["entities"]["PERSON"] >= 50
    assert report["probes"]["robustness"] is report["probes"]["backdoor"] is None
    assert report["probes"]["forgetting"]["metric"] == "probe_accuracy"
    assert 0 < max(site["epsilon"] for site in report["sites"]) <= 1
    page = (folder / "report.html").read_text()
    assert "Confusion matrix" not in page
    assert ">Spans<" in page
    card = next(folder.rglob("README.md")).read_text()
    assert "pipeline_tag: token-classification" in card
    assert "linear head on the state of each token" in card
    assert isinstance(answer(next(folder.rglob("head.safetensors")).parent, "fif hlh aia hmh", 8), str)
