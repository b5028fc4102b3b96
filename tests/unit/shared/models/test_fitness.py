"""A base model whose files do not fit together is refused in one sentence before its weights are read."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, BertModel, RobertaConfig, RobertaModel

from shared.config.model import ModelSection
from shared.config.run import RunConfig
from shared.errors import ModelError
from shared.models.fitness import positions, within_embeddings
from shared.models.folders import INDEX, locate
from shared.models.load import load, outline
from shared.tasks import load_task


def section(folder: Path, **changes: Any) -> ModelSection:
    return ModelSection(name=str(folder), dtype="float32", device="cpu", **{"max_length": 24, **changes})


@pytest.fixture
def bert(tiny_bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "bert"))


@pytest.fixture
def llama(tiny_llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_llama, tmp_path / "llama"))


def refusal(how: Callable[..., Any], *given: Any) -> str:
    with pytest.raises(ModelError) as caught:
        how(*given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("rest", [(), ("tokenizer_config.json",)], ids=["nothing", "settings alone"])
@pytest.mark.parametrize("how", [load, outline])
def test_a_folder_without_a_tokenizer_is_refused(bert: Path, how: Callable[..., Any], rest: tuple[str, ...]) -> None:
    for path in bert.iterdir():
        if path.name not in ("config.json", "model.safetensors", *rest):
            path.unlink()
    if rest:
        (bert / rest[0]).write_text('{"tokenizer_class": "BertTokenizer"}')
    assert "has no tokenizer" in refusal(how, section(bert), "encoder")


@pytest.mark.parametrize("left", [None, "{"], ids=["missing", "damaged"])
@pytest.mark.parametrize("how", [load, outline])
def test_a_tokenizer_that_cannot_be_read_is_named(llama: Path, how: Callable[..., Any], left: str | None) -> None:
    (llama / "tokenizer.json").unlink()
    if left:
        (llama / "tokenizer.json").write_text(left)
    said = refusal(how, section(llama), "causal")
    assert "its tokenizer cannot be read" in said
    assert "save the model's own tokenizer there" in said


def test_a_tokenizer_of_special_tokens_alone_is_refused(bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(bert)
    tokenizer.train_new_from_iterator([], 5).save_pretrained(bert)
    assert "has no tokenizer" in refusal(load, section(bert), "encoder")


@pytest.mark.parametrize("special", [True, False])
def test_more_tokens_than_embeddings_are_refused(llama: Path, special: bool) -> None:
    tokenizer = AutoTokenizer.from_pretrained(llama)
    tokenizer.add_tokens(["<|turn|>", "<|stop|>"], special_tokens=special)
    tokenizer.save_pretrained(llama)
    said = refusal(outline, section(llama), "causal")
    assert "has 2 tokens" in said
    assert "<|stop|>" in said


def test_tokens_for_pictures_may_lie_beyond_the_embeddings_and_are_left_out_of_texts(llama: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(llama, extra_special_tokens={"image_token": "<picture>"})
    tokenizer.save_pretrained(llama)
    base = load(section(llama), "causal")
    ids = base.tokenizer("aia <picture> aia", add_special_tokens=False)["input_ids"]
    assert len(within_embeddings(base.network, ids)) == 2


def test_a_length_beyond_the_positions_is_refused_with_the_longest_that_fits(bert: Path) -> None:
    assert "positions for 128 tokens; set 128 or less" in refusal(outline, section(bert, max_length=129), "encoder")
    outline(section(bert, max_length=128), "encoder")


@pytest.mark.parametrize("how", [load, outline])
def test_a_model_without_a_table_of_embeddings_is_refused(
    bert: Path, how: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BertModel, "get_input_embeddings", lambda model: model.embeddings.position_ids)
    assert "cannot be loaded as an encoder (AttributeError" in refusal(how, section(bert), "encoder")


def test_positions_are_counted_as_the_model_counts_them() -> None:
    config = RobertaConfig(
        vocab_size=9,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=66,
    )
    assert positions(RobertaModel(config)) == 64  # its first position is after the padding id 1


@pytest.mark.parametrize(("kind", "auto"), [("encoder", AutoModel), ("causal", AutoModelForCausalLM)])
def test_shards_load_as_one_file_does(kind: Any, auto: Any, tiny_llama: Path, llama: Path) -> None:
    (llama / "model.safetensors").unlink()
    auto.from_pretrained(tiny_llama).save_pretrained(llama, max_shard_size="40KB")
    files = locate(section(llama))
    assert len(files.weights) > 1
    one, other = (load(section(folder), kind).network.state_dict() for folder in (tiny_llama, llama))
    assert all(bool((one[name] == other[name]).all()) for name in one)
    outline(section(llama), kind)


def test_the_checksum_of_shards_covers_each_of_them(tiny_llama: Path, llama: Path) -> None:
    (llama / "model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(tiny_llama).save_pretrained(llama, max_shard_size="40KB")
    pinned = section(llama, sha256=locate(section(llama)).sha256)
    locate(pinned)
    last = llama / locate(pinned).weights[-1]
    last.write_bytes(last.read_bytes()[:-1] + b"\1")
    assert "checksum mismatch" in refusal(locate, pinned)
    last.unlink()
    assert last.name in refusal(locate, pinned)


@pytest.mark.parametrize("names", [{}, {"a": "../model.safetensors"}, {"a": "model.bin"}, {"a": 3}])
def test_an_index_that_leads_elsewhere_is_refused(llama: Path, names: dict[str, Any]) -> None:
    (llama / "model.safetensors").unlink()
    (llama / INDEX).write_text(json.dumps({"weight_map": names}))
    assert INDEX in refusal(locate, section(llama))


TEMPLATES = {
    "refuses a system text": "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('None') }}{% endif %}"
    "{{ m.content }}{% endfor %}",
    "leaves the system text out": "{% for m in messages if m.role != 'system' %}<{{ m.role }}> {{ m.content }}{% endfor %}",
    "leaves the user's text out": "{% for m in messages if m.role == 'system' %}{{ m.content }}{% endfor %}",
    "cannot be used": "{% for m in messages %}{{ m.content + 1 }}{% endfor %}",
}


@pytest.mark.parametrize("said", TEMPLATES)
def test_a_template_that_does_not_fit_the_task_is_refused(instruct: RunConfig, llama: Path, change: Any, said: str) -> None:
    (llama / "chat_template.jinja").write_text(TEMPLATES[said])
    config = change(instruct, {"model.name": str(llama), **({"task.system": ""} if said == "cannot be used" else {})})
    assert said in refusal(load_task, config)


def test_a_template_without_room_for_a_question_is_refused(instruct: RunConfig, change: Any) -> None:
    config = change(instruct, {"task.system": "be kind " * 20})
    assert "raise it, or shorten task.system" in refusal(load_task, config)
