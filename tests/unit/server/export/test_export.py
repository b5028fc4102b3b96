"""Each exported form is loaded by its own consumer, without hushtune, and gives the same answers."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from fixture_types import Change, ConfigOf, LearnerOf, Shake
from gguf_model import save_gguf
from huggingface_hub import ModelCard
from made_facts import make_facts, uncharged
from peft import AutoPeftModel, AutoPeftModelForCausalLM
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, pipeline

from bench.architectures import Architecture
from server.export import formats
from server.export.formats import export
from server.export.gguf_file import FILE, refilled
from server.report.card import privacy_card
from server.report.card_facts import CardFacts
from server.report.signed import SignedCard
from shared.adapters.peft import read_adapter
from shared.config.run import RunConfig
from shared.errors import ModelError, RunError
from shared.models.catalogue import CATALOGUE, CatalogueEntry
from shared.models.wheels import Wheel, cached_folder, sha256_file
from shared.tasks.adapter_files import save_adapter
from shared.tasks.base import Learner

RunOf = Callable[[RunConfig], tuple[Path, Learner]]
TEXTS = ("aia bib", "cjc aia aia eoe fif", "gkg")


@pytest.fixture(scope="module")
def facts(config_of: ConfigOf) -> CardFacts:
    return uncharged(make_facts(config_of({"privacy.enabled": False}), {}))


@pytest.fixture
def run_of(learner_of: LearnerOf, shake: Shake, tmp_path: Path, facts: CardFacts) -> RunOf:
    """``run_of(config)``: the folder of a finished run, and its tuned model."""

    def make(config: RunConfig) -> tuple[Path, Learner]:
        learner, run = learner_of(config), tmp_path / "run"
        shake(learner)
        run.mkdir()
        save_adapter(learner, config, read_adapter(learner.model), run / "adapter")
        SignedCard(privacy_card(facts, "00" * 32), "00").save(run)
        learner.model.eval()
        return run, learner

    return make


def answers(learner: Learner) -> list[torch.Tensor]:
    ids = [torch.tensor(learner.base.tokenizer(text)["input_ids"])[None] for text in TEXTS]
    model: Any = learner.model
    with torch.no_grad():
        if learner.base.kind == "causal":
            return [model(input_ids=row).logits for row in ids]
        return [model(row, torch.ones_like(row)) for row in ids]


def test_a_merged_language_model_is_loaded_by_transformers_alone(run_of: RunOf, instruct: RunConfig, tmp_path: Path) -> None:
    run, learner = run_of(instruct)
    export(run, "merged", tmp_path / "out")
    loaded, tokenizer = (auto.from_pretrained(tmp_path / "out") for auto in (AutoModelForCausalLM, AutoTokenizer))
    with torch.no_grad():
        for text, expected in zip(TEXTS, answers(learner), strict=True):
            logits = loaded(input_ids=torch.tensor(tokenizer(text)["input_ids"])[None]).logits
            torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    assert tokenizer.chat_template == learner.base.tokenizer.chat_template
    assert learner.base.tokenizer.eos_token_id in loaded.generation_config.eos_token_id


@pytest.mark.parametrize("rank", [2, 0])
def test_a_merged_encoder_has_its_head_next_to_it(
    run_of: RunOf, classify: RunConfig, change: Change, rank: int, tmp_path: Path
) -> None:
    run, learner = run_of(change(classify, {"adapter.rank": rank}))
    export(run, "merged", tmp_path / "out")
    encoder, head = AutoModel.from_pretrained(tmp_path / "out"), load_file(tmp_path / "out" / "head.safetensors")
    ids = torch.tensor(learner.base.tokenizer(TEXTS[1])["input_ids"])[None]
    with torch.no_grad():
        logits = encoder(input_ids=ids).last_hidden_state.mean(dim=1) @ head["weight"].T + head["bias"]
    torch.testing.assert_close(logits, answers(learner)[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["bert", "roberta"])  # RoBERTa counts positions from its padding id
def test_the_pipeline_of_transformers_gives_the_runs_labels_and_probabilities(
    run_of: RunOf, classify: RunConfig, change: Change, kind: str, tmp_path: Path
) -> None:
    if kind != "bert":
        Architecture(kind, "classification").save(tmp_path / "base")
        classify = change(classify, {"model.name": str(tmp_path / "base")})
    run, learner = run_of(classify)
    export(run, "sequence-classifier", tmp_path / "out")
    classifier = pipeline("text-classification", model=str(tmp_path / "out"), device="cpu")
    for text, logits in zip(TEXTS, answers(learner), strict=True):
        [found] = classifier(text, top_k=1)
        expected = logits.softmax(dim=1)[0]
        assert found["label"] == classify.task.labels[int(expected.argmax())]
        assert found["score"] == pytest.approx(float(expected.max()), abs=1e-4)


def test_a_batch_of_different_lengths_is_an_error_of_the_pipeline_and_not_another_answer(
    run_of: RunOf, classify: RunConfig, tmp_path: Path
) -> None:
    run, _ = run_of(classify)
    export(run, "sequence-classifier", tmp_path / "out")
    classifier = pipeline("text-classification", model=str(tmp_path / "out"), device="cpu")
    with pytest.raises(ValueError, match="pad"):
        classifier(list(TEXTS), batch_size=2)


def test_the_hubs_folder_is_loaded_by_peft_alone_and_has_the_results_in_the_hubs_own_metadata(
    run_of: RunOf, instruct: RunConfig, facts: CardFacts, tmp_path: Path
) -> None:
    run, learner = run_of(instruct)
    export(run, "hub-folder", tmp_path / "out")
    ids = torch.tensor(learner.base.tokenizer(TEXTS[1])["input_ids"])[None]
    for auto in (AutoPeftModel, AutoPeftModelForCausalLM):
        with torch.no_grad():
            logits = auto.from_pretrained(tmp_path / "out").eval()(input_ids=ids).logits
        torch.testing.assert_close(logits, answers(learner)[1], rtol=1e-4, atol=1e-4)
    read = ModelCard.load(tmp_path / "out" / "README.md").data
    assert {(each.metric_type, each.metric_value) for each in read.eval_results or []} == {
        (name, round(interval.value, 4)) for name, interval in facts.metrics.items()
    }
    assert read.library_name == "peft"


@pytest.mark.parametrize(
    ("task", "to", "said"),
    [
        ("instruct", "sequence-classifier", "the task is instruction"),
        ("classify", "gguf", "only language models"),
        ("head alone", "hub-folder", "a head alone"),
        ("instruct", "gguf", "convert_hf_to_gguf.py, which is not found"),
    ],
)
def test_a_form_that_a_run_cannot_have_is_refused_and_leaves_nothing(
    run_of: RunOf,
    task: str,
    to: Any,
    said: str,
    change: Change,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    config = request.getfixturevalue("classify" if task == "head alone" else task)
    run, _ = run_of(change(config, {"adapter.rank": 0}) if task == "head alone" else config)
    with pytest.raises(ModelError, match=said):
        export(run, to, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_an_existing_folder_is_not_touched(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="exists already"):
        export(tmp_path, "merged", tmp_path)


def test_whatever_a_writer_raises_is_one_sentence(
    run_of: RunOf, instruct: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise TypeError("a library's own\nmessage")

    run, _ = run_of(instruct)
    monkeypatch.setattr(formats, "write_merged", fails)
    with pytest.raises(ModelError, match="a library's own message"):
        export(run, "merged", tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def gguf_file(path: Path, tensors: Mapping[str, np.ndarray[Any, Any]]) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("little")
    writer.add_token_list(["a", "bé"])
    writer.add_uint32("llama.block_count", 1)
    for name, value in tensors.items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_gguf_file_keeps_its_settings_and_gets_the_new_values(tmp_path: Path) -> None:
    old = {"blk.0.attn_q.weight": np.ones((32, 64), np.float32), "output_norm.weight": np.ones(64, np.float32)}
    new = {name: np.linspace(-2, 2, value.size, dtype=np.float32).reshape(value.shape) for name, value in old.items()}
    refilled(gguf_file(tmp_path / "old.gguf", old), new, tmp_path / FILE)
    reader = gguf.GGUFReader(tmp_path / FILE)
    assert reader.fields["tokenizer.ggml.tokens"].contents() == ["a", "bé"]
    assert reader.fields["llama.block_count"].contents() == 1
    assert reader.fields["general.name"].contents() == "little"
    for tensor in reader.tensors:
        np.testing.assert_allclose(np.asarray(tensor.data, np.float32), new[tensor.name], atol=1e-3)


def test_a_gguf_file_that_lacks_a_value_is_refused(tmp_path: Path) -> None:
    source = gguf_file(tmp_path / "old.gguf", {"output.weight": np.ones((32, 64), np.float32)})
    with pytest.raises(ModelError, match=r"no output\.weight of shape"):
        refilled(source, {"output.weight": np.ones((64, 32), np.float32)}, tmp_path / FILE)


def test_a_base_model_of_gguf_is_exported_to_gguf_with_the_runs_answers(
    run_of: RunOf,
    instruct: RunConfig,
    change: Change,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HUSHTUNE_CACHE", str(tmp_path / "cache"))
    folder = cached_folder(Wheel("little-model", "1.0", "0" * 64, "inside")) / "inside"
    folder.mkdir(parents=True)
    save_gguf(folder / "tiny.gguf")
    wheel = Wheel("little-model", "1.0", "0" * 64, "inside", {"tiny.gguf": sha256_file(folder / "tiny.gguf")})
    monkeypatch.setitem(CATALOGUE, "little", CatalogueEntry("tiny", "MIT", "little", wheel, "tiny.gguf"))  # type: ignore[call-overload]
    run, learner = run_of(change(instruct, {"model.name": "little", "task.system": "", "model.max_length": 128}))
    export(run, "gguf", tmp_path / "out")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out", gguf_file=FILE, dtype=torch.float32)
    untouched = AutoModelForCausalLM.from_pretrained(folder, gguf_file="tiny.gguf", dtype=torch.float32)
    ids, model = torch.arange(3, 12)[None], learner.model
    with torch.no_grad():
        expected = model(input_ids=ids).logits
        torch.testing.assert_close(loaded(input_ids=ids).logits, expected, rtol=2e-2, atol=2e-2)  # weights in float16
        assert (untouched(input_ids=ids).logits - expected).abs().max() > 0.1


def test_llama_cpps_converter_gets_the_merged_model(
    run_of: RunOf, instruct: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "llama.cpp"
    home.mkdir()
    (home / "convert_hf_to_gguf.py").write_text(
        "import pathlib, sys\nout = sys.argv[sys.argv.index('--outfile') + 1]\n"
        "pathlib.Path(out).write_bytes((pathlib.Path(sys.argv[1]) / 'model.safetensors').read_bytes())\n"
    )
    monkeypatch.setenv("LLAMA_CPP", str(home))
    run, _ = run_of(instruct)
    made = export(run, "gguf", tmp_path / "out")
    assert made["files"] == ["README.md", FILE]
    shutil.copyfile(tmp_path / "out" / FILE, tmp_path / "weights.safetensors")
    assert load_file(tmp_path / "weights.safetensors")
