"""Attributions that add up to what they explain, and the page that shows them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from fixture_types import Change, LearnerOf, Shake

from server.display import explanation_lines
from server.explanation import attribution
from server.explanation.attribution import TOLERANCE, Explanation, explain
from server.explanation.page import explain_texts, plain, render
from shared.adapters.peft import read_adapter
from shared.config.run import RunConfig
from shared.tasks.adapter_files import load_adapter, save_adapter
from shared.tasks.base import Learner
from shared.tasks.classification import MeanPoolingClassifier

TEXT = "aia bjb ckc dld eme"


@pytest.fixture(scope="module", params=["classify", "instruct"])
def config(request: pytest.FixtureRequest) -> RunConfig:
    of_a_task: RunConfig = request.getfixturevalue(request.param)
    return of_a_task


@pytest.fixture(scope="module")
def tuned(config: RunConfig, learner_of: LearnerOf, shake: Shake) -> Learner:
    learner = learner_of(config)
    shake(learner)
    return learner


@pytest.fixture(scope="module")
def found(tuned: Learner) -> Explanation:
    return explain(tuned, TEXT, 4)


def test_attributions_add_up_to_the_difference_within_five_percent(found: Explanation) -> None:
    assert found.complete
    difference = found.output - found.baseline
    assert abs(difference) > 1e-3
    assert found.attributions.sum() == pytest.approx(difference, rel=TOLERANCE)
    assert len(found.tokens) == len(found.own) == len(found.attributions) == found.attention.shape[1]
    np.testing.assert_allclose(found.attention.sum(axis=1), 1, rtol=1e-5)


def test_steps_are_added_until_the_sum_fits_and_what_never_fits_is_said(
    tuned: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribution, "TOLERANCE", 1e-9)
    coarse = explain(tuned, TEXT, 4, steps=(1,))
    finer = explain(tuned, TEXT, 4, steps=(1, 64))
    assert (coarse.steps, finer.steps) == (1, 64)
    assert coarse.error > finer.error
    assert "do not rely on these attributions" in render([finer], "run", "model")
    assert "DO NOT add up" in str(next(iter(explanation_lines([plain(finer)], "page.html"))))
    monkeypatch.setattr(attribution, "TOLERANCE", 1e9)
    assert explain(tuned, TEXT, 4, steps=(1, 64)).steps == 1


def test_tokens_that_the_text_does_not_own_get_nothing(found: Explanation) -> None:
    own = np.array(found.own)
    assert own.any()
    assert not own.all()
    np.testing.assert_array_equal(found.attributions[~own], 0)


def test_the_output_is_the_models_own(classify: RunConfig, learner_of: LearnerOf, shake: Shake) -> None:
    learner = learner_of(classify)
    shake(learner)
    found = explain(learner, TEXT, 4)
    ids = torch.tensor([learner.base.tokenizer(TEXT)["input_ids"]])
    with torch.no_grad():
        logits = learner.model(ids, torch.ones_like(ids))[0]
    assert found.answer == classify.task.labels[int(logits.argmax())]
    assert found.output == pytest.approx(float(logits.max()), rel=1e-5)


def test_of_a_linear_model_an_attribution_is_the_tokens_own_share(
    classify: RunConfig, learner_of: LearnerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the answer is a sum over embeddings, integrated gradients are exactly its terms, whatever the steps."""
    learner = learner_of(classify)
    model = learner.model
    assert isinstance(model, MeanPoolingClassifier)
    embeddings = learner.base.network.get_input_embeddings()
    direction = torch.linspace(-1, 1, 32)

    def score(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        each = embeddings(ids) @ direction  # (B, T)
        return torch.stack([torch.zeros(len(ids)), 100 + each.sum(dim=1)], dim=1)

    monkeypatch.setattr(model, "forward", score)
    found = explain(learner, TEXT, 4, steps=(2,))
    ids = torch.tensor(learner.base.tokenizer(TEXT)["input_ids"])
    with torch.no_grad():
        # Padding's embedding is 0 in this model, so the unknown token, 0, is the filler.
        terms = (embeddings(ids) - embeddings(torch.tensor([0]))) @ direction
    own = np.array(found.own)
    np.testing.assert_allclose(found.attributions[own], terms.numpy()[own], rtol=1e-4, atol=1e-5)


def test_the_page_is_whole_escaped_and_loads_nothing(found: Explanation) -> None:
    page = render([found], "<run>", "tiny & small")
    assert "&lt;run&gt;" in page
    assert "tiny &amp; small" in page
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!#)|url\(|@import', page)
    assert page.count('class="tokens"') == 1
    json.dumps(plain(found), allow_nan=False)
    assert plain(found)["complete"]


@pytest.mark.slow
def test_a_saved_adapter_explains_the_operators_texts(config: RunConfig, tuned: Learner, tmp_path: Path) -> None:
    save_adapter(tuned, config, read_adapter(tuned.model), tmp_path / "adapter")
    texts = explain_texts(tmp_path / "adapter", [TEXT, "gog hph"], tmp_path / "new" / "page.html", 4)
    assert [text["complete"] for text in texts] == [True, True]
    assert (tmp_path / "new" / "page.html").read_text().count("<section") == 2
    assert str(list(explanation_lines(texts, "page.html"))[-1]) == "Page: page.html"


def test_what_is_explained_is_loaded_exactly(
    classify: RunConfig, change: Change, learner_of: LearnerOf, tmp_path: Path
) -> None:
    config = change(classify, {"model.dtype": "bfloat16"})
    learner = learner_of(config)
    save_adapter(learner, config, read_adapter(learner.model), tmp_path / "adapter")
    assert load_adapter(tmp_path / "adapter")[1].base.dtype == torch.bfloat16
    assert load_adapter(tmp_path / "adapter", exact=True)[1].base.dtype == torch.float32
