import json
from typing import Any

import numpy as np
import pytest
from fixture_types import Change, LearnerOf, RecordsOf

from server.evaluation import Evaluator
from server.model_assessment import Rival, assess, read_answers
from server.report.html import render
from shared.config.run import RunConfig
from shared.tasks.classification import ClassOutcome


@pytest.fixture(scope="module")
def evaluator(classify: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, change: Change) -> Evaluator:
    config = change(classify, {"evaluation.bootstrap": 100})
    learner = learner_of(config)
    return Evaluator(learner, learner.task.encode(records_of(config, 40)), ["x"] * 40, config)


def test_the_assessment_tells_of_the_outcome_and_of_nothing_else(evaluator: Evaluator) -> None:
    outcome = evaluator.outcome()
    truth, predicted = outcome.truth, outcome.predicted
    found = assess(
        evaluator, outcome, [Rival("always right", ClassOutcome(labels=outcome.labels, truth=truth, predicted=truth))]
    )
    part = found["classification"]
    assert np.trace(part["confusion"]) == (truth == predicted).sum()
    assert [row["records"] for row in part["classes"]] == np.bincount(truth, minlength=2).tolist()
    assert sum(row["records"] for row in part["calibration"]["bins"]) == 40
    (row,) = found["differences"]
    assert row["change"]["value"] == pytest.approx((truth == predicted).mean() - 1)
    assert found["generation"] is None
    json.dumps(found, allow_nan=False)


def test_probabilities_belong_to_the_predicted_class_of_the_same_record(evaluator: Evaluator) -> None:
    outcome = evaluator.outcome()
    assert outcome.probabilities is not None
    np.testing.assert_allclose(outcome.probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(outcome.probabilities.argmax(axis=1), outcome.predicted)
    alone = Evaluator(evaluator.learner, [evaluator.examples[7]], ["x"], evaluator.config).outcome()
    assert alone.probabilities is not None
    np.testing.assert_allclose(alone.probabilities[0], outcome.probabilities[7], rtol=1e-4)


def test_answers_are_the_greedy_ones_of_each_prompt_alone_and_no_text_is_reported(
    instruct: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, change: Change
) -> None:
    changes = {"evaluation.answers": 6, "evaluation.max_new_tokens": 5, "evaluation.bootstrap": 100, "model.max_length": 48}
    config = change(instruct, changes)
    learner, records = learner_of(config), records_of(config, 9)
    evaluator = Evaluator(learner, learner.task.encode(records), ["x"] * 9, config)
    answers = read_answers(evaluator)
    assert answers is not None
    assert len(answers.given) == 6
    assert list(answers.references) == [record.fields["response"] for record in records[:6]]
    task: Any = learner.task
    assert list(answers.given) == [task.answer(learner, r.fields["instruction"], 5) for r in records[:6]]
    assert any(answers.given)
    outcome = evaluator.outcome()
    found = assess(evaluator, outcome, [Rival("base model", outcome, answers)], answers)
    assert {row["change"]["value"] for row in found["generation"]["differences"]} == {0}
    assert set(found["generation"]["metrics"]) >= {"bleu", "rougeL", "exact_match", "token_f1"}
    written = json.dumps(found)
    assert not any(text in written for text in (*answers.given, *answers.references) if text)


def test_no_answers_are_made_where_none_are_asked_for(evaluator: Evaluator) -> None:
    assert read_answers(evaluator) is None


def test_the_page_has_the_assessment_where_there_is_one(evaluator: Evaluator) -> None:
    outcome = evaluator.outcome()
    page = render({"assessment": assess(evaluator, outcome, [Rival("a <b> rival", outcome)])})
    assert 'id="assessment"' in page
    assert "a &lt;b&gt; rival" in page
    assert "Confusion matrix" in page
    assert 'id="assessment"' not in render({})
