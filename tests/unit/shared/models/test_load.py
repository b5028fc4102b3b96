import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import Change, LearnerOf, RecordsOf, Shake
from peft import PeftModel
from peft.utils import save_and_load
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from bench.architectures import ARCHITECTURES, WORDS, config_of
from client.exactness import self_check
from shared.adapters.peft import read_adapter, write_adapter
from shared.adapters.state import AdapterState
from shared.config.model import ModelSection
from shared.config.run import RunConfig
from shared.errors import ConfigError, ModelError
from shared.models.catalogue import HUB_ID
from shared.models.folders import locate
from shared.models.load import load, outline
from shared.models.store import catalogue_rows
from shared.models.wheels import sha256_file
from shared.ops import extras
from shared.records.types import Record
from shared.tasks import load_learner, load_task
from shared.tasks.base import Learner
from shared.tasks.examples import Batch


def section(folder: Path, **changes: Any) -> ModelSection:
    return ModelSection(name=str(folder), dtype="float32", device="cpu", **changes)


def one_line(caught: pytest.ExceptionInfo[ModelError]) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


def lora_factors(learner: Learner, which: str) -> dict[str, torch.Tensor]:
    return {name: p for name, p in learner.model.named_parameters() if f"lora_{which}" in name}


def a_batch(learner: Learner, records_of: RecordsOf, config: RunConfig, count: int = 6) -> Batch:
    examples = learner.task.encode(records_of(config, count))
    return next(learner.batches(examples, range(count), 10_000))[1]


def test_the_rows_of_a_have_norm_1_and_a_is_frozen(either: RunConfig, learner_of: LearnerOf) -> None:
    factors = lora_factors(learner_of(either), "A")
    assert len(factors) == 6  # query, key and value of 2 layers
    for factor in factors.values():
        assert not factor.requires_grad
        np.testing.assert_allclose(factor.norm(dim=1), 1.0, rtol=1e-6)


def test_a_is_the_same_for_the_same_seed_and_differs_by_seed_and_layer(
    either: RunConfig, learner_of: LearnerOf, change: Change
) -> None:
    first, again, other = (lora_factors(learner_of(c), "A") for c in (either, either, change(either, {"run.seed": 1})))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)
    assert len({tuple(factor.flatten().tolist()) for factor in first.values()}) == len(first)


def test_the_trained_tensors_are_b_and_the_head_and_nothing_else(classify: RunConfig, learner_of: LearnerOf) -> None:
    names = list(read_adapter(learner_of(classify).model).arrays)
    assert len(names) == 8
    assert all("lora_B" in name or name in ("head.weight", "head.bias") for name in names)


def test_both_factors_are_trained_when_the_config_says_so(
    classify: RunConfig, learner_of: LearnerOf, change: Change
) -> None:
    learner = learner_of(change(classify, {"privacy.enabled": False, "adapter.train": "AB"}))
    assert all(factor.requires_grad for factor in lora_factors(learner, "A").values())


def test_a_new_adapter_changes_nothing(instruct: RunConfig, learner_of: LearnerOf, records_of: RecordsOf) -> None:
    learner = learner_of(instruct)
    assert all(not factor.any() for factor in lora_factors(learner, "B").values())
    batch = a_batch(learner, records_of, instruct)
    base = AutoModelForCausalLM.from_pretrained(instruct.model.name).eval()
    with torch.no_grad():
        tuned = learner.model.eval()(input_ids=batch.ids, attention_mask=batch.mask).logits
        plain = base(input_ids=batch.ids, attention_mask=batch.mask).logits
    torch.testing.assert_close(tuned, plain, rtol=1e-5, atol=2e-5)


def test_a_new_adapter_leaves_an_encoders_pooled_states_alone(
    classify: RunConfig, learner_of: LearnerOf, records_of: RecordsOf
) -> None:
    learner = learner_of(classify)
    batch = a_batch(learner, records_of, classify)
    base = AutoModel.from_pretrained(classify.model.name).eval()
    with torch.no_grad():
        states = base(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        expected = torch.stack([row[keep.bool()].mean(dim=0) for row, keep in zip(states, batch.mask, strict=True)])
        torch.testing.assert_close(learner.model.eval().pooled(batch.ids, batch.mask), expected)


def test_a_written_adapter_is_read_back_bit_for_bit(either: RunConfig, learner_of: LearnerOf, shake: Shake) -> None:
    one, two = learner_of(either), learner_of(either)
    shake(one)
    state = read_adapter(one.model)
    write_adapter(two.model, state)
    assert read_adapter(two.model).digest() == state.digest()


def test_reading_an_adapter_is_a_copy(classify: RunConfig, learner_of: LearnerOf, shake: Shake) -> None:
    learner = learner_of(classify)
    state = read_adapter(learner.model)
    digest = state.digest()
    shake(learner)
    assert state.digest() == digest
    assert read_adapter(learner.model).digest() != digest


@pytest.mark.parametrize("mutant", ["missing", "extra", "shape", "name"])
def test_an_adapter_of_another_spec_is_not_written(classify: RunConfig, learner_of: LearnerOf, mutant: str) -> None:
    learner = learner_of(classify)
    before = read_adapter(learner.model)
    arrays = {name: array + 1 for name, array in before.arrays.items()}
    if mutant == "shape":
        arrays["head.weight"] = arrays["head.weight"].T
    elif mutant == "extra":
        arrays["more"] = np.zeros(1, dtype=np.float32)
    else:
        gone = arrays.pop("head.bias")
        arrays |= {"head.bios": gone} if mutant == "name" else {}
    with pytest.raises(ModelError, match="does not fit"):
        write_adapter(learner.model, AdapterState(arrays))
    assert read_adapter(learner.model).digest() == before.digest()


def test_neither_saving_nor_restoring_asks_a_hub(
    instruct: RunConfig, learner_of: LearnerOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(save_and_load, "check_file_exists_on_hf_hub", asked)
    learner = learner_of(instruct)
    model: Any = learner.model
    model.peft_config["default"].base_model_name_or_path = "someone/something"  # no folder that lies here
    learner.task.save(model, tmp_path)
    learner.task.restore(model, tmp_path)


def test_peft_alone_rebuilds_a_saved_encoder(
    classify: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, shake: Shake, tmp_path: Path
) -> None:
    learner = learner_of(classify)
    shake(learner)
    learner.task.save(learner.model, tmp_path)
    batch = a_batch(learner, records_of, classify)
    rebuilt = PeftModel.from_pretrained(AutoModel.from_pretrained(classify.model.name), str(tmp_path)).eval()
    head = load_file(tmp_path / "head.safetensors")
    with torch.no_grad():
        states = rebuilt(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        weights = batch.mask.unsqueeze(-1).float()
        logits = ((states * weights).sum(1) / weights.sum(1)) @ head["weight"].T + head["bias"]
        torch.testing.assert_close(learner.model.eval()(batch.ids, batch.mask), logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "mutants"),
    [
        ("adapter_model.safetensors", ("missing", "extra", "shape", "garbage", "absent")),
        ("head.safetensors", ("shape", "garbage", "absent")),
    ],
)
def test_a_tampered_file_is_refused_in_one_line(
    classify: RunConfig, learner_of: LearnerOf, tmp_path: Path, name: str, mutants: tuple[str, ...]
) -> None:
    learner = learner_of(classify)
    before = read_adapter(learner.model).digest()
    for mutant in mutants:
        learner.task.save(learner.model, tmp_path)
        path = tmp_path / name
        tensors = {key: tensor + 1 for key, tensor in load_file(path).items()}
        first = next(iter(tensors))
        if mutant == "missing":
            del tensors[first]
        elif mutant == "extra":
            tensors["base_model.model.x"] = torch.zeros(1)
        elif mutant == "shape":
            tensors[first] = torch.zeros(3, 32)
        save_file(tensors, path)
        if mutant == "garbage":
            path.write_bytes(b"\x80\x04pickle")
        elif mutant == "absent":
            path.unlink()
        with pytest.raises(ModelError) as caught:
            learner.task.restore(learner.model, tmp_path)
        assert str(path) in one_line(caught), mutant
        assert name == "head.safetensors" or read_adapter(learner.model).digest() == before, mutant


def test_an_adapter_with_another_frozen_half_than_the_seeds_is_refused(
    either: RunConfig, learner_of: LearnerOf, tmp_path: Path
) -> None:
    learner = learner_of(either)
    learner.task.save(learner.model, tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    tensors = load_file(path)
    save_file({name: tensor * 2 if "lora_A" in name else tensor for name, tensor in tensors.items()}, path)
    before = read_adapter(learner.model).digest()  # no digest covers the frozen half
    with pytest.raises(ModelError, match=r"its frozen tensors are not those of the run's seed"):
        learner.task.restore(learner.model, tmp_path)
    learner.task.save(learner.model, tmp_path)
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in load_file(path).items())
    assert read_adapter(learner.model).digest() == before


def test_an_adapter_config_beside_the_weights_is_never_read(
    classify: RunConfig, learner_of: LearnerOf, tmp_path: Path
) -> None:
    learner = learner_of(classify)
    learner.task.save(learner.model, tmp_path)
    (tmp_path / "adapter_config.json").write_text('{"auto_mapping": {"parent_library": "os"}, "r": 999}')
    learner.task.restore(learner.model, tmp_path)


@pytest.mark.parametrize("name", ["minilmm", "no/such/folder", "org/name", "org/name@main", "org/name@" + "0" * 39])
def test_an_unknown_model_is_refused_with_the_names_that_exist(name: str) -> None:
    with pytest.raises(ModelError, match="minilm, smollm2-135m") as caught:
        locate(ModelSection(name=name))
    assert f"'{name}'" in one_line(caught)


@pytest.mark.parametrize("target", ["qery", "intermediate", "LayerNorm"])
def test_a_target_that_is_no_linear_layer_is_refused_with_those_that_are(
    classify: RunConfig, change: Change, learner_of: LearnerOf, target: str
) -> None:
    with pytest.raises(ModelError, match=rf"adapter\.targets: '{target}'.*query") as caught:
        learner_of(change(classify, {"adapter.targets": [target]}))
    one_line(caught)


@pytest.fixture
def folder(tiny_bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "model"))


def test_a_folder_without_safetensors_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled weights are never read") as caught:
        load(section(folder), "encoder")
    one_line(caught)


def test_the_pinned_checksum_is_enforced(folder: Path) -> None:
    digest = sha256_file(folder / "model.safetensors")
    assert locate(section(folder, sha256=digest)).sha256 == digest
    with pytest.raises(ModelError, match="checksum mismatch") as caught:
        locate(section(folder, sha256="0" * 64))
    one_line(caught)


def without(tensor: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        del tensors[tensor]
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return damage


def reconfigured(**changes: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "weights cut off": lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-9]),
    "weights that are a pickle": lambda f: (f / "model.safetensors").write_bytes(b"\x80\x04K*."),
    "a config that is no JSON": lambda f: (f / "config.json").write_text("{"),
    "a config of an unknown kind": reconfigured(model_type="mystery"),
    "a config of another width": reconfigured(hidden_size=16),
    "a config of more layers": reconfigured(num_hidden_layers=3),
    "a missing tensor": without("encoder.layer.0.attention.self.query.weight"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_model_folder_is_refused_in_one_line(folder: Path, damage: Callable[[Path], Any]) -> None:
    damage(folder)
    with pytest.raises(ModelError) as caught:
        load(section(folder), "encoder")
    one_line(caught)


def test_code_in_a_model_folder_never_runs(folder: Path, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    (folder / "modeling_evil.py").write_text(f"open({str(touched)!r}, 'w')\n")
    reconfigured(auto_map={"AutoModel": "modeling_evil.Evil", "AutoConfig": "modeling_evil.Evil"})(folder)
    with contextlib.suppress(ModelError):
        load(section(folder), "encoder")
    assert not touched.exists()


def test_an_encoder_is_no_language_model(tiny_bert: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load(section(tiny_bert), "causal")
    one_line(caught)


def test_a_language_model_without_a_chat_template_is_refused(
    instruct: RunConfig, change: Change, tiny_llama: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    assert AutoTokenizer.from_pretrained(folder).chat_template is None
    with pytest.raises(ModelError, match="no chat template") as caught:
        load_task(change(instruct, {"model.name": str(folder)}))
    one_line(caught)


def test_a_device_that_is_not_there_is_refused(tiny_bert: Path) -> None:
    if torch.backends.mps.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(ModelError, match=r"model\.device = 'mps'"):
        load(ModelSection(name=str(tiny_bert), device="mps"), "encoder")


def test_a_base_in_bfloat16_keeps_a_float32_adapter(classify: RunConfig, change: Change, learner_of: LearnerOf) -> None:
    learner = learner_of(change(classify, {"model.dtype": "bfloat16"}))
    assert learner.base.network.dtype == torch.bfloat16
    assert {p.dtype for p in learner.model.parameters() if p.requires_grad} == {torch.float32}


def test_the_base_model_is_frozen(either: RunConfig) -> None:
    base, _ = load_task(either)
    assert not any(parameter.requires_grad for parameter in base.network.parameters())


def test_the_catalogue_has_a_row_for_every_model_and_refuses_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUSHTUNE_CACHE", str(tmp_path))
    rows = catalogue_rows()
    assert {"minilm", "smollm2-135m", "qwen3-8b", "llama-3.2-1b", "modernbert-base"} <= {row["name"] for row in rows}
    assert not any(row["fetched"] for row in rows)
    assert all(row["licence"] and (row["sha256"] or HUB_ID.fullmatch(row["source"])) for row in rows)
    with pytest.raises(ModelError, match="--fetch bert"):
        catalogue_rows("bert")


DEBERTA = next(each for each in ARCHITECTURES if each.name == "deberta-v2")


@pytest.fixture
def deberta(tmp_path: Path) -> Path:
    """Write a random DeBERTa-v3 with the files that the hub has of it: its tokenizer is a SentencePiece model alone."""
    trainer = pytest.importorskip("sentencepiece", reason="the extra 'sentencepiece' is not installed").SentencePieceTrainer
    DEBERTA.save(tmp_path)
    for path in tmp_path.glob("tokenizer*"):
        path.unlink()
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false, "vocab_type": "spm"}', encoding="utf-8")
    named = {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
    trainer.train(
        sentence_iterator=iter(WORDS * 20),
        model_prefix=str(tmp_path / "spm"),
        vocab_size=32,
        minloglevel=2,
        **{"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, **named},
    )
    return tmp_path


def test_a_deberta_whose_tokenizer_is_a_sentencepiece_file_trains_exactly(deberta: Path) -> None:
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_file=str(deberta / "spm.model"))
    tokenizer = load(section(deberta, max_length=32), "encoder").tokenizer
    for text in (" ".join(WORDS), "bad zzz cel", "(dim)"):
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == pieces.encode(text)
    learner = load_learner(config_of(DEBERTA, deberta))
    records = [Record({"text": " ".join(WORDS[:size])}, ("no", "yes")[size % 2]) for size in (3, 7, 12)]
    self_check(learner, learner.task.encode(records), len(records))


@pytest.mark.parametrize("how", [load, outline])
def test_a_sentencepiece_file_without_its_library_names_the_extra(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Callable[..., Any]
) -> None:
    monkeypatch.setattr(extras, "missing", lambda extra: iter([extra]))
    folder = Path(shutil.copytree(tiny_bert, tmp_path / "bert"))
    (folder / "spm.model").write_bytes(b"")
    how(section(folder, max_length=24), "encoder")  # tokenizer.json holds the same tokens
    (folder / "tokenizer.json").unlink()
    with pytest.raises(
        ConfigError, match=r"spm\.model needs the extra 'sentencepiece': pip install 'hushtune\[sentencepiece\]'"
    ):
        how(section(folder, max_length=24), "encoder")
