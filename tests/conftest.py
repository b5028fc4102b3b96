"""Fixtures for all tests: two tiny random models in transformers' format, and small configs and records; no downloads."""

import copy
import gc
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from claims import Claims
from forked import forks
from hypothesis import settings

from shared.config.run import RunConfig
from shared.records.types import Record

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from privacy.budget import Budget
    from shared.config.model import ModelSection
    from shared.models.load import LoadedModel
    from shared.tasks.base import Learner

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = tuple(f"{a}{b}{a}" for a in LETTERS[:8] for b in LETTERS[8:16])
ROLES = ("system", "user", "assistant", "be", "kind")
TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
TREE: Mapping[str, Any] = {
    "task": {"labels": ["no", "yes"]},
    "data": {
        "sites": [
            {"id": "north", "file": "north.jsonl", "declared_size": 100},
            {"id": "south", "file": "south.jsonl", "declared_size": 150},
        ]
    },
}


# The profile for every run; --hypothesis-profile=default tries 100 examples. No deadline: it would measure the machine.
settings.register_profile("suite", max_examples=40, deadline=None)
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """Register the check of SECURITY.md's claims, in the main process of pytest-xdist, which sees all reports."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Claims())
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        gc.disable()  # until all tests are collected, because searching what imports leave takes a third of that time


def pytest_collection_finish() -> None:
    """Leave the libraries that the tests import out of each later search for garbage."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with slow tests first, so that the quick ones keep all workers of pytest-xdist busy until the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def merged(tree: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deep copy of a config tree with the given ``section.key`` values."""
    out: dict[str, Any] = copy.deepcopy(dict(tree))
    for dotted, value in changes.items():
        node: Any = out
        *path, last = dotted.split(".")
        for key in path:
            node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
        node[last] = value
    return out


@pytest.fixture(scope="session", autouse=True)
def losses_and_noise_are_computed_once() -> Iterator[None]:
    """Keep the privacy loss of steps and the noise of plans: both follow from their arguments alone and take a second.

    Each is still computed by the product at its first use.
    """
    from privacy import accounting, calibration, privacy_loss, step_loss

    known, loss = dict[tuple[Any, ...], float](), lru_cache(maxsize=64)(step_loss.loss_of_step)

    def calibrate(*arguments: Any) -> float:
        *goal, others, claimed = arguments
        key = (*goal, tuple(others))
        if key not in known:
            known[key] = calibration.calibrate(*goal, others, claimed)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounting, "loss_of_step", loss)
        patch.setattr(calibration, "loss_of_step", loss)
        patch.setattr(privacy_loss, "self_composed", lru_cache(maxsize=128)(privacy_loss.self_composed))
        patch.setattr(accounting, "calibrate", calibrate)
        yield


@pytest.fixture(scope="session", autouse=True)
def parts_of_analysers_are_loaded_once() -> Iterator[None]:
    """Keep the word lists, rules and models of the shipped languages: an analyser needs a second to load its own.

    A run of tests that imports no analyser does not import one for this.
    """
    analyser = sys.modules.get("privacy.detect.analyser")
    if analyser is None:
        yield
        return
    from privacy.detect.languages.registry import LANGUAGES

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analyser, "load_spacy", lru_cache(maxsize=8)(analyser.load_spacy))
        rules, shipped = analyser.pattern_recognisers, {id(each): each for each in LANGUAGES.values()}
        of = cache(lambda place: rules(shipped[place]))
        patch.setattr(analyser, "pattern_recognisers", lambda each: of(id(each)) if id(each) in shipped else rules(each))
        for each in shipped.values():
            patch.setitem(each.__dict__, "words", cache(each.words))  # the class is frozen
        yield


@pytest.fixture(scope="session", autouse=True)
def sites_meter_an_engine_once_for_each_plan() -> Iterator[None]:
    """Keep what a site's meter saw, which takes half a second at each set-up, for the next site of the same plan.

    A test that changes the engine sets ``client.planned_run.meter`` to the product's own.
    """
    planned_run = sys.modules.get("client.planned_run")
    if planned_run is None:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planned_run, "meter", lru_cache(maxsize=64)(planned_run.meter))
        yield


@pytest.fixture(scope="session", autouse=True)
def models_in_folders_are_read_once() -> Iterator[None]:
    """Copy a model that was read before, which takes a fifth of the time, unless a file of its folder has changed.

    The product reads each model at its first use. A run of tests that imports no task does not import them for this.
    """
    tasks = sys.modules.get("shared.tasks")
    if tasks is None:
        yield
        return
    kept, load = dict[object, Any](), tasks.load

    def read(section: "ModelSection", kind: str) -> "LoadedModel":
        folder = Path(section.name)
        if not folder.is_dir():
            return load(section, kind)
        files = sorted((path.name, path.stat().st_mtime_ns) for path in folder.iterdir())
        key = (section.model_dump_json(), kind, *files)
        base = kept.get(key) or kept.setdefault(key, load(section, kind))
        return replace(base, network=copy.deepcopy(base.network), tokenizer=copy.deepcopy(base.tokenizer))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "load", read)
        yield


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start workers as forks of a process that has imported the libraries; see ``forked``."""
    monkeypatch.setattr("shared.ops.workers.get_context", forks)


@pytest.fixture
def tree() -> dict[str, Any]:
    """Return the smallest config tree: classification at two sites."""
    return copy.deepcopy(dict(TREE))


@pytest.fixture(scope="session")
def config_of() -> Callable[..., RunConfig]:
    """Return a function that parses the smallest tree with changes: ``config_of({"run.seed": 3})``."""
    return lambda changes=(), base=TREE: RunConfig.parse(merged(base, dict(changes)), "test")


def _tokenizer(specials: Sequence[str]) -> "Tokenizer":
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    pieces = [*specials, *"<>.,", *LETTERS, *(f"##{letter}" for letter in LETTERS), *WORDS, *ROLES]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=specials[0]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def save_bert(folder: Path, dropout: float = 0.0) -> Path:
    """Write a random BERT of 2 layers and its WordPiece tokenizer."""
    import torch
    from tokenizers import processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    tokenizer = _tokenizer(("[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(11)
        config = BertConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=128,
            initializer_range=0.2,
            pad_token_id=1,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
        BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="session")
def dropout_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the tiny BERT with dropout, as real encoders have."""
    return save_bert(tmp_path_factory.mktemp("models") / "dropout-bert", dropout=0.1)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a random Llama of 2 layers with a chat template."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    tokenizer = _tokenizer(("[unk]", "[eos]", "[pad]"))
    names = {"unk_token": "[unk]", "eos_token": "[eos]", "pad_token": "[pad]"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=TEMPLATE, **names)
    fast.save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(12)
        config = LlamaConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=64,
            max_position_embeddings=1024,
            initializer_range=0.2,
            bos_token_id=None,
            eos_token_id=1,
            pad_token_id=2,
        )
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


SMALL: Mapping[str, Any] = {
    "model.dtype": "float32",
    "model.device": "cpu",
    "model.max_length": 24,
    "adapter.rank": 2,
    "cohort.min_records": 4,
    "privacy.epsilon": 1.0,  # a small epsilon means more noise, whose privacy loss is faster to compute
    "training.rounds": 2,
    "training.steps": 2,
    "training.sampling_rate": 0.2,
    "training.micro_batch_tokens": 128,
}


@pytest.fixture(scope="session")
def classify(tiny_bert: Path) -> RunConfig:
    """Return the config of a classification with the tiny BERT."""
    return RunConfig.parse(merged(TREE, {**SMALL, "model.name": str(tiny_bert)}), "test")


@pytest.fixture(scope="session")
def instruct(tiny_llama: Path) -> RunConfig:
    """Return the config of an instruction task with the tiny Llama."""
    changes = {**SMALL, "model.name": str(tiny_llama), "task": {"name": "instruction", "system": "be kind"}}
    return RunConfig.parse(merged(TREE, changes), "test")


@pytest.fixture(params=["classification", "instruction"])
def either(request: pytest.FixtureRequest) -> RunConfig:
    """Return the config of each of the two tasks in turn."""
    config: RunConfig = request.getfixturevalue("classify" if request.param == "classification" else "instruct")
    return config


@pytest.fixture(scope="session")
def change() -> Callable[..., RunConfig]:
    """Return a function that changes values of a config: ``change(config, {"privacy.enabled": False})``."""
    return lambda config, changes: RunConfig.parse(merged(config.model_dump(mode="json"), changes), "test")


@pytest.fixture(scope="session")
def learner_of() -> Callable[[RunConfig], "Learner"]:
    """Return a function that builds the learner of a config, with a new adapter."""

    def build(config: RunConfig) -> "Learner":
        from shared.tasks import load_task
        from shared.tasks.base import Learner

        base, task = load_task(config)
        return Learner(base, task, task.build(base, config.run.seed))

    return build


@pytest.fixture(scope="session")
def records_of() -> Callable[..., list[Record]]:
    """Return a function that generates records: ``records_of(config, 20)``, random words in different lengths."""
    import numpy as np

    def build(config: RunConfig, count: int, seed: int = 0) -> list[Record]:
        random = np.random.default_rng(seed)

        def text(longest: int) -> str:
            return " ".join(random.choice(WORDS, size=random.integers(1, longest)))

        if config.task.name == "instruction":
            return [Record({"instruction": text(6), "response": text(8)}, None, i + 1) for i in range(count)]
        labels = config.task.labels
        return [Record({"text": text(16)}, labels[int(random.integers(len(labels)))], i + 1) for i in range(count)]

    return build


@pytest.fixture(scope="session")
def shake() -> Callable[["Learner", int], None]:
    """Return a function that adds random numbers to the trained tensors, so that the adapter has an effect."""

    def apply(learner: "Learner", seed: int = 5) -> None:
        import torch

        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in learner.model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))

    return apply


@pytest.fixture
def open_budget(tmp_path: Path) -> Callable[..., "Budget"]:
    """Return a function that opens a large budget for 30 records: ``open_budget("north")``; one ledger per site and test."""
    from privacy.budget import Budget, Limit
    from privacy.fingerprint import Dataset
    from privacy.ledger import Ledger

    def make(site_id: str, limit: float = 1000.0) -> Budget:
        ledger = Ledger(tmp_path / "ledgers" / site_id, site_id)
        return Budget(ledger, Dataset([(bytes([i]) * 16,) for i in range(30)]), Limit(limit, 1e-4))

    return make


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a hushtune command line in this process; return its status, standard output and standard error."""
    import hushtune

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hushtune", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            hushtune.main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run
