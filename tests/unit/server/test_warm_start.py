from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fixture_types import Change, LearnerOf, RecordsOf

from server.evaluation import Evaluator
from server.warm_start import start_baselines, start_of
from shared.adapters.peft import read_adapter, write_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import ConfigError, ModelError
from shared.tasks.adapter_files import save_adapter
from shared.tasks.base import Learner

Warm = Callable[..., tuple[RunConfig, AdapterState]]


@pytest.fixture(scope="module")
def warm(learner_of: LearnerOf, change: Change, tmp_path_factory: pytest.TempPathFactory) -> Warm:
    """Save a random adapter of a run without privacy; return the run that starts from it, and the adapter."""

    def build(config: RunConfig, **trained: object) -> tuple[RunConfig, AdapterState]:
        learner, random, folder = learner_of(config), np.random.default_rng(3), tmp_path_factory.mktemp("public") / "adapter"
        fresh = read_adapter(learner.model)
        state = AdapterState({k: a + random.normal(size=a.shape).astype(np.float32) for k, a in fresh.arrays.items()})
        write_adapter(learner.model, state)
        save_adapter(learner, change(config, {"privacy.enabled": False, **trained}), state, folder)
        digest = {"model.warm_start": str(folder), "model.warm_start_digest": state.digest()}
        return change(config, digest), state

    return build


@pytest.fixture(scope="module")
def learner(classify: RunConfig, learner_of: LearnerOf) -> Learner:
    return learner_of(classify)


@pytest.fixture(scope="module")
def started(classify: RunConfig, warm: Warm) -> tuple[RunConfig, AdapterState]:
    return warm(classify)


def test_a_run_starts_from_the_named_adapter_and_the_model_stays_untrained(
    either: RunConfig, learner_of: LearnerOf, warm: Warm
) -> None:
    learner = learner_of(either)
    untrained = read_adapter(learner.model).digest()
    assert start_of(either, learner).digest() == untrained
    config, state = warm(either)
    assert start_of(config, learner).digest() == state.digest() != untrained
    assert read_adapter(learner.model).digest() == untrained


def test_an_adapter_with_another_digest_or_none_is_refused_and_the_sentence_names_its_own(
    change: Change, learner: Learner, started: tuple[RunConfig, AdapterState]
) -> None:
    config, state = started
    for digest in (None, "0" * 64):
        with pytest.raises(ConfigError, match=rf"model\.warm_start_digest: .* digest {state.digest()}; set this digest"):
            start_of(change(config, {"model.warm_start_digest": digest}), learner)


@pytest.mark.parametrize(
    ("field", "value"), [("run.seed", 99), ("task.labels", ["yes", "no"]), ("adapter.alpha", 3.0), ("adapter.rank", 1)]
)
def test_an_adapter_whose_numbers_mean_something_else_here_is_refused_by_field(
    change: Change, learner: Learner, started: tuple[RunConfig, AdapterState], field: str, value: object
) -> None:
    section = field if field.startswith(("run", "task")) else "adapter"
    with pytest.raises(ConfigError, match=rf"was trained with another {section}, .* with the same {section}"):
        start_of(change(started[0], {field: value}), learner)


@pytest.mark.parametrize("trained", [{"privacy.enabled": True}, {"data.source": "sites"}], ids=["privacy", "sites"])
def test_an_adapter_of_a_private_run_or_of_real_sites_is_no_public_one(
    classify: RunConfig, learner: Learner, warm: Warm, trained: dict[str, object]
) -> None:
    config, _ = warm(classify, **trained)
    with pytest.raises(ConfigError, match="on records that this run's epsilon does not count"):
        start_of(config, learner)


def test_a_folder_without_an_adapter_is_refused(
    classify: RunConfig, change: Change, learner: Learner, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="no readable run config; give the adapter folder of a finished run"):
        start_of(change(classify, {"model.warm_start": str(tmp_path / "none")}), learner)


@pytest.mark.parametrize("name", ["warm start alone", "names of the labels alone"])
def test_the_baseline_measures_the_start_and_leaves_the_model_as_it_was(
    classify: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf, warm: Warm, name: str
) -> None:
    config = warm(classify)[0] if name == "warm start alone" else change(classify, {"task.head_start": "labels"})
    learner, records = learner_of(config), records_of(config, 20)
    evaluator, state = Evaluator.of(learner, records, ["north"] * 20, config, [None] * 20), start_of(config, learner)
    before = read_adapter(learner.model).digest()
    [row] = start_baselines(evaluator, state)
    assert (row.name, row.private) == (name, True)
    assert read_adapter(learner.model).digest() == before != state.digest()
    write_adapter(learner.model, state)
    assert row.metrics == evaluator.metrics(evaluator.outcome())


def test_an_untrained_start_is_no_baseline_of_its_own(classify: RunConfig, learner: Learner, records_of: RecordsOf) -> None:
    records = records_of(classify, 20)
    evaluator = Evaluator.of(learner, records, ["north"] * 20, classify, [None] * 20)
    assert start_baselines(evaluator, start_of(classify, learner)) == []
