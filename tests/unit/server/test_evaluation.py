import numpy as np
import pytest
import torch
from fixture_types import LearnerOf, RecordsOf

from server.evaluation import Evaluator, choose_examples
from shared.config.evaluation import EvaluationSection
from shared.config.run import RunConfig


@pytest.fixture(scope="module", params=["classify", "instruct"])
def evaluator(request: pytest.FixtureRequest, learner_of: LearnerOf, records_of: RecordsOf) -> Evaluator:
    config: RunConfig = request.getfixturevalue(request.param)
    learner = learner_of(config)
    owners = ["north" if i % 3 else "south" for i in range(24)]
    return Evaluator(learner, learner.task.encode(records_of(config, 24)), owners, config)


def test_a_measurement_is_the_same_every_time_and_changes_nothing(evaluator: Evaluator) -> None:
    before = {name: tensor.clone() for name, tensor in evaluator.learner.model.state_dict().items()}
    first, again = evaluator.outcome(), evaluator.outcome()
    for name, values in first.arrays().items():
        np.testing.assert_array_equal(values, again.arrays()[name])
    assert evaluator.metrics(first) == evaluator.metrics(again)
    assert all(torch.equal(before[name], tensor) for name, tensor in evaluator.learner.model.state_dict().items())


def test_outcomes_are_in_the_order_of_the_examples(evaluator: Evaluator) -> None:
    outcome = evaluator.outcome()
    for index in (0, 7, 23):
        alone = Evaluator(evaluator.learner, [evaluator.examples[index]], ["x"], evaluator.config).outcome()
        for name, values in outcome.arrays().items():
            assert alone.arrays()[name][0] == pytest.approx(values[index], rel=1e-4)


def test_each_site_is_measured_on_its_own_examples(evaluator: Evaluator) -> None:
    outcome = evaluator.outcome()
    by_site = evaluator.by_site(outcome)
    assert list(by_site) == ["north", "south"]
    south = np.array([owner == "south" for owner in evaluator.owners])
    for metric, interval in evaluator.metrics(outcome.where(south)).items():
        assert by_site["south"][metric] == interval


def test_accuracy_is_the_share_of_right_answers(classify: RunConfig, learner_of: LearnerOf, records_of: RecordsOf) -> None:
    learner = learner_of(classify)
    made = Evaluator(learner, learner.task.encode(records_of(classify, 40)), ["x"] * 40, classify)
    outcome = made.outcome()
    assert outcome.truth.tolist() == [example.target for example in made.examples]
    assert made.metrics(outcome)["accuracy"].value == pytest.approx((outcome.truth == outcome.predicted).mean())


def test_examples_are_chosen_by_the_seed_without_repeats() -> None:
    section = EvaluationSection(max_records=20)
    assert choose_examples(20, section, 0) == list(range(20))
    chosen = choose_examples(100, section, 0)
    assert chosen == choose_examples(100, section, 0) == sorted(set(chosen))
    assert len(chosen) == 20
    assert chosen != choose_examples(100, section, 1)
