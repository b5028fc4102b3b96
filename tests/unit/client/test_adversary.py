"""Hiding a declared group: exact per record, within the clip, at the site alone, and gone from what is published."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import Change, LearnerOf, OpenBudget, Shake
from one_site import site_of
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression

from client.data_stage.preparation import prepare
from client.trainer import train
from client.units import TrainingSet
from privacy.anonymise.scrubbed import Scrubbed
from privacy.dp.run_plans import plan_for_site
from privacy.dp.selfcheck import largest_difference
from shared.adapters.peft import read_adapter, write_adapter
from shared.adapters.state import AdapterState
from shared.config.adversary import NO_GROUP
from shared.config.run import RunConfig
from shared.errors import ConfigError, DataError
from shared.records.read import read_records
from shared.records.types import RawRecord, Record
from shared.tasks.adapter_files import load_adapter, save_adapter
from shared.tasks.base import Learner
from shared.tasks.classification import MeanPoolingClassifier
from shared.tasks.examples import Batch, collate

HIDDEN = {"column": "sex", "groups": ["woman", "man"], "weight": 2.0}
WORDS = {"woman": "aia", "man": "bjb", None: "ckc"}


@pytest.fixture
def config(classify: RunConfig, change: Change) -> RunConfig:
    return change(classify, {"adversary": HIDDEN})


def records(count: int, seed: int = 0) -> list[Record]:
    """Texts with one word for their group and one for their label; every fifth is of no group."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        group = None if number % 5 == 4 else ("woman", "man")[int(random.integers(2))]
        label = ("no", "yes")[int(random.integers(2))]
        words = [WORDS[group], {"no": "dld", "yes": "eme"}[label], *random.choice(["fnf", "gog", "hph"], size=3)]
        random.shuffle(words)
        made.append(Record({"text": " ".join(words)}, label, number + 1, group))
    return made


def batch_of(learner: Learner, given: list[Record]) -> Batch:
    return collate(learner.task.encode(given), 1, learner.base.device)


def model_of(learner: Learner) -> MeanPoolingClassifier:
    assert isinstance(learner.model, MeanPoolingClassifier)
    return learner.model


def gradients(learner: Learner, batch: Batch) -> dict[str, torch.Tensor]:
    """Plain autograd's gradients of the summed training loss."""
    model = learner.model
    model.zero_grad()
    learner.task.training_losses(model, batch, 0.0).sum().backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad and p.grad is not None}


def test_the_adversary_follows_its_loss_and_the_encoder_turns_from_it(
    config: RunConfig, classify: RunConfig, learner_of: LearnerOf, shake: Shake
) -> None:
    learner, without = learner_of(config), learner_of(classify)
    shake(learner)
    state = read_adapter(learner.model)
    write_adapter(without.model, AdapterState({n: a for n, a in state.arrays.items() if not n.startswith("adversary.")}))
    given = records(8)
    batch = batch_of(learner, given)
    found, plain = gradients(learner, batch), gradients(without, batch_of(without, given))
    model = model_of(learner)
    assert model.adversary is not None
    assert batch.groups is not None
    model.zero_grad()
    logits = model.adversary(model.pooled(batch.ids, batch.mask))
    known = batch.groups != NO_GROUP
    torch.nn.functional.cross_entropy(logits[known], batch.groups[known], reduction="sum").backward()
    straight = {name: p.grad for name, p in model.named_parameters() if p.requires_grad and p.grad is not None}
    for name, gradient in found.items():
        if name.startswith("adversary."):
            torch.testing.assert_close(gradient, straight[name])
        elif name.startswith("head."):
            torch.testing.assert_close(gradient, plain[name])
        else:
            torch.testing.assert_close(gradient, plain[name] - HIDDEN["weight"] * straight[name], rtol=1e-4, atol=1e-5)


def test_each_records_gradient_is_its_own_also_where_it_has_no_group(
    config: RunConfig, learner_of: LearnerOf, shake: Shake
) -> None:
    learner = learner_of(config)
    shake(learner)
    examples = learner.task.encode(records(10))
    assert {example.group for example in examples} == {NO_GROUP, 0, 1}

    def losses(model: torch.nn.Module, chosen: list[int]) -> torch.Tensor:
        return learner.task.training_losses(model, collate([examples[i] for i in chosen], 1, learner.base.device), 0.0)

    assert largest_difference(learner.model, losses, len(examples)) < 1e-4


@pytest.mark.slow
def test_a_reader_of_the_embedding_learns_the_group_less_after_training_against_the_adversary(
    config: RunConfig, change: Change, learner_of: LearnerOf
) -> None:
    """Without privacy, so that what is seen is the method and no noise; the reader is new, and no part of the training."""
    rates = {"learning_rate": 0.02, "head_learning_rate": 0.05, "schedule": "constant", "sampling_rate": 0.5}
    settings = {"privacy.enabled": False, "adapter.rank": 8, "training": {**rates, "rounds": 1, "steps": 100}}
    hits = []
    for weight in (1e-6, 0.3):
        run = change(config, {**settings, "adversary.weight": weight})
        learner = learner_of(run)
        start, data = read_adapter(learner.model), TrainingSet.of(learner.task.encode(records(80)))
        done = train(learner, data, start, run, None, round_number=1, divisor=40.0, site_id="n", moments=None)
        write_adapter(learner.model, start.add(done.delta))
        hits.append(read_off(learner, records(200, seed=1)))
    assert min(hit["task"] for hit in hits) > 0.98  # the task does not need the group
    assert hits[1]["group"] < hits[0]["group"] - 0.15


def read_off(learner: Learner, given: list[Record]) -> dict[str, float]:
    """Return the share of labels that the model gets right, and of groups read from its embeddings by a new classifier."""
    model, batch = model_of(learner).eval(), batch_of(learner, given)
    assert batch.groups is not None
    with torch.no_grad():
        pooled = model.pooled(batch.ids, batch.mask)
        task = (model.head(pooled).argmax(dim=1) == batch.targets).float().mean()
    known = (batch.groups != NO_GROUP).numpy()
    states, groups = pooled.numpy()[known], batch.groups.numpy()[known]
    reader = LogisticRegression(max_iter=2000).fit(states[:100], groups[:100])
    return {"task": float(task), "group": float(reader.score(states[100:], groups[100:]))}


def test_the_published_adapter_has_no_adversary(config: RunConfig, learner_of: LearnerOf, tmp_path: Path) -> None:
    learner = learner_of(config)
    assert "adversary.weight" in read_adapter(learner.model).arrays
    save_adapter(learner, config, read_adapter(learner.model), tmp_path / "adapter")
    for file in (tmp_path / "adapter").glob("*.safetensors"):
        assert not any("adversary" in name for name in load_file(file))
    restored_config, restored = load_adapter(tmp_path / "adapter")
    assert restored_config.adversary is None
    assert model_of(restored).adversary is None
    given = learner.task.encode([Record({"text": "aia dld"}, "no")])
    batch = collate(given, 1, learner.base.device)
    with torch.no_grad():
        torch.testing.assert_close(restored.model.eval()(batch.ids, batch.mask), learner.model.eval()(batch.ids, batch.mask))


def test_a_group_reaches_training_only_where_an_adversary_asks(config: RunConfig, classify: RunConfig) -> None:
    raw = [RawRecord({"text": "aia"}, "yes", 3, group="woman"), RawRecord({"text": "bjb"}, "no", 7)]
    scrubbed = Scrubbed(tuple(Record(record.fields, record.label, record.position) for record in raw))
    carried = prepare(scrubbed, raw, config, b"k" * 32).scrubbed.records
    assert [record.group for record in carried] == ["woman", None]
    assert [record.group for record in prepare(scrubbed, raw, classify, b"k" * 32).scrubbed.records] == [None, None]


def test_the_column_is_read_with_the_records(config: RunConfig, tmp_path: Path) -> None:
    file = tmp_path / "n.jsonl"
    file.write_text('{"text": "aia", "label": "yes", "sex": "man"}\n{"text": "bjb", "label": "no"}\n', encoding="utf-8")
    assert [record.group for record in read_records(file, config)] == ["man", None]


def test_a_site_whose_records_declare_no_such_group_refuses_in_one_line(
    config: RunConfig, learner_of: LearnerOf, open_budget: OpenBudget
) -> None:
    given = [Record(record.fields, record.label, record.position, "unknown") for record in records(20)]
    plan = plan_for_site(config, 100)
    with pytest.raises(DataError, match=r"site n: no record has one of adversary\.groups in column 'sex'") as caught:
        site_of("n", 100, config, given, learner_of(config), plan, open_budget("n"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"adapter.rank": 0}, "adversary: with adapter.rank = 0 the embedding cannot change"),
        ({"adversary.groups": ["woman"]}, "adversary.groups: needs at least 2 different groups"),
        ({"adversary.weight": 0}, "adversary.weight"),
        ({"evaluation.probes": {"group": "age"}}, "evaluation.probes.group = 'age': a record has only one group column"),
    ],
)
def test_where_it_does_not_apply_it_is_refused_by_name(
    config: RunConfig, change: Change, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says.replace("(", r"\(")):
        change(config, changes)


def test_an_instruction_has_no_embedding_to_hide_a_group_in(instruct: RunConfig, change: Change) -> None:
    with pytest.raises(ConfigError, match="cannot hide a group"):
        change(instruct, {"adversary": HIDDEN})
