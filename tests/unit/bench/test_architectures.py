"""Base models of many architectures: each trains with exactly its library's loss, or is refused in one sentence."""

from pathlib import Path
from typing import Any

import pytest

from bench.architectures import ARCHITECTURES, Architecture, config_of, tried
from shared.errors import ModelError
from shared.models.catalogue import CATALOGUE
from shared.tasks import likelihood, load_learner


def architecture(name: str, task: str) -> Architecture:
    return next(each for each in ARCHITECTURES if each.name == name and each.task.startswith(task))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("gemma2", {}),  # caps its logits
        ("cohere", {}),  # scales them
        ("granite", {"targets": ("lm_head", "q_proj")}),  # scales them after a trained projection
        ("gpt2", {"last_layers": 1}),  # weights that lie turned, in a transformer of another name
        ("falcon", {}),
        ("gpt_neox", {}),
        ("bloom", {}),
        ("llama", {"targets": ("lm_head",)}),
        ("falcon_h1", {}),  # scales them by a factor of its transformer
    ],
)
def test_a_language_model_trains_with_the_loss_of_its_own_library(
    name: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    result = tried(architecture(name, "instr"), tmp_path, changes)["result"]
    assert result.startswith("trains; loss within ")
    assert float(result.rpartition(" ")[2]) < 1e-5


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("modernbert", {"last_layers": 1}),
        ("t5", {}),
        ("deberta", {"targets": ("dense",)}),
        ("deberta-v2", {"last_layers": 1}),
        ("electra", {"last_layers": 1}),
    ],
)
def test_an_encoder_of_another_kind_trains_exactly(name: str, changes: dict[str, Any], tmp_path: Path) -> None:
    assert tried(architecture(name, "class"), tmp_path, changes)["result"] == "trains"


def test_a_library_that_cannot_compute_in_16_bits_is_told_with_the_dtype_that_works(tmp_path: Path) -> None:
    chosen = architecture("deberta", "class")
    chosen.save(tmp_path)
    config = config_of(chosen, tmp_path, {"targets": ("dense",)})
    coarse = config.model.model_copy(update={"dtype": "bfloat16"})
    with pytest.raises(ModelError, match=r"cannot compute a batch of texts .*; set model\.dtype = 'float32', or use"):
        load_learner(config.model_copy(update={"model": coarse}))


@pytest.mark.parametrize(
    ("name", "task", "changes", "said"),
    [
        ("albert", "class", {"last_layers": 1}, "layer 1 of this model has no query or key or value of its own"),
        ("fnet", "class", {"targets": ("dense",)}, "a text's result in a batch is not that of its library"),
        ("bert", "instr", {}, "a token sees the tokens after it"),
        ("deberta-v2", "class", {"targets": ("query_proj",)}, "per-record gradients differ"),
        ("opt", "instr", {"targets": ("fc1",)}, "exactly one gradient per record"),
    ],
)
def test_what_cannot_be_trained_exactly_is_refused_in_one_sentence(
    name: str, task: str, changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    result = tried(architecture(name, task), tmp_path, changes)["result"]
    assert result.startswith("refused: ")
    assert said in result


def test_a_loss_that_leaves_out_what_the_model_does_to_its_logits_is_refused_at_start_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = architecture("cohere2", "instr")
    chosen.save(tmp_path)
    monkeypatch.setattr(likelihood, "logits_of", lambda network, _, states: network.lm_head(states))
    with pytest.raises(ModelError, match="is not that of its library"):
        load_learner(config_of(chosen, tmp_path))


def test_the_architecture_of_each_model_of_the_catalogue_is_tried() -> None:
    """No hub is reached here, so a random model of the same type stands for each."""
    types = {
        "minilm": "bert",
        "smollm2": "llama",
        "qwen3": "qwen3",
        "llama": "llama",
        "gemma-3-1b": "gemma3_text",
        "gemma-3-4b": "gemma3",
        "mistral": "mistral",
        "modernbert": "modernbert",
        "deberta-v3": "deberta-v2",
        "multilingual-e5": "bert",
        "xlm-roberta": "xlm-roberta",
    }
    names = {each.name for each in ARCHITECTURES}
    for name in CATALOGUE:
        assert {model for start, model in types.items() if name.startswith(start)} <= names
        assert any(name.startswith(start) for start in types), name


def test_the_table_names_at_least_25_architectures() -> None:
    assert len({each.name for each in ARCHITECTURES}) >= 25
