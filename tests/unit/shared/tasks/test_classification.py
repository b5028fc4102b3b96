"""The start of a classification head: from the names of the labels, which are public."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from fixture_types import Change, LearnerOf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from server.warm_start import start_of
from shared.adapters.peft import read_adapter, write_adapter
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.records.types import Record
from shared.tasks.classification import head_of_names


def names() -> st.SearchStrategy[npt.NDArray[np.float64]]:
    shapes = st.tuples(st.integers(2, 5), st.integers(6, 9))
    return shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=st.floats(-5, 5), fill=st.nothing()))


@given(names())
def test_no_class_prefers_the_name_of_another_and_the_mean_of_all_names_prefers_none(rows: npt.NDArray[np.float64]) -> None:
    weight, bias = head_of_names(rows)
    assert np.isfinite(weight).all()
    np.testing.assert_allclose(weight @ rows.mean(axis=0) + bias, 0, atol=1e-9)
    logits = rows @ weight.T + bias
    length = np.linalg.norm(rows - rows.mean(axis=0), axis=1)
    np.testing.assert_allclose(np.diag(logits), length, rtol=1e-6, atol=1e-9)
    assert (logits <= length[:, None] + 1e-9).all()  # a unit row cannot give a name more than its distance from the mean


def test_equal_names_give_a_head_of_zeros_and_not_of_nan() -> None:
    weight, bias = head_of_names(np.ones((3, 4), dtype=np.float32))
    assert not weight.any()
    assert not bias.any()


def test_a_run_starts_from_the_names_of_its_labels_and_only_the_head_differs(
    classify: RunConfig, change: Change, learner_of: LearnerOf
) -> None:
    named = change(classify, {"task.head_start": "labels", "task.labels": ["card_arrival", "refund-asked"]})
    learner = learner_of(named)
    untrained = read_adapter(learner.model)
    start = start_of(named, learner)
    assert read_adapter(learner.model).digest() == untrained.digest()
    changed = [name for name, array in start.arrays.items() if not np.array_equal(array, untrained.arrays[name])]
    assert sorted(changed) == ["head.bias", "head.weight"]
    write_adapter(learner.model, start)
    texts = ["card arrival", "refund asked"]  # separators are no words
    examples = learner.task.encode([Record({"text": text}, label="card_arrival") for text in texts])
    with torch.no_grad():
        for place, example in enumerate(examples):
            ids = torch.from_numpy(example.ids)[None]
            assert int(learner.model(ids, torch.ones_like(ids)).argmax()) == place


def test_a_task_without_labels_and_a_warm_start_refuse_it(classify: RunConfig, instruct: RunConfig, change: Change) -> None:
    with pytest.raises(ConfigError, match=r"head_start = 'labels'.*set 'random'"):
        change(instruct, {"task.head_start": "labels"})
    with pytest.raises(ConfigError, match=r"task\.head_start = 'labels': the adapter of model\.warm_start has a head"):
        change(classify, {"task.head_start": "labels", "model.warm_start": "public"})
