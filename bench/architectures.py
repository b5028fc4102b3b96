"""Try the architectures of transformers as base models: python -m bench.architectures [--only NAME ...] [--write].

Each is a random model of two layers, made from its config alone. A row says that the model trains, with per-record
gradients that equal those of single records, and how far a record's loss is from the loss that the model's own library
computes; or it is the sentence with which the model is refused. ``--write`` puts the table into docs/models.md.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForTextEncoding, PreTrainedTokenizerFast

from bench.table import parser_of, print_rows
from client.exactness import self_check
from shared.config.run import RunConfig
from shared.config.task import TaskName
from shared.errors import HushtuneError
from shared.models.library import quiet
from shared.records.types import Record
from shared.tasks import load_learner
from shared.tasks.base import Learner
from shared.tasks.examples import Example

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
MARKS = ("<!-- architectures: begin -->", "<!-- architectures: end -->")
SPECIALS = ("[unk]", "[pad]", "[bos]", "[eos]")
WORDS = tuple(f"{first}{second}" for first in "bcdfghklmn" for second in ("ad", "el", "im", "on", "ur"))
TEMPLATE = (
    "{% for m in messages %}[bos] {{ m['role'] }} {{ m['content'] }} [eos] {% endfor %}"
    "{% if add_generation_prompt %}[bos] assistant {% endif %}"
)
# Each config reads of these what it knows.
SMALL: Mapping[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
EXPERTS: Mapping[str, Any] = {
    "moe_intermediate_size": 16,
    "num_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
}


@dataclass(frozen=True)
class Architecture:
    """A model type of transformers, the task that it is tried with, and what its small config needs beyond ``SMALL``."""

    name: str
    task: TaskName
    more: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    def save(self, folder: Path) -> None:
        """Write a random model and its tokenizer, as ``save_pretrained`` does."""
        tokenizer = _tokenizer()
        known = {name: value for name, value in SMALL.items() if name not in self.without}
        config: Any = AutoConfig.for_model(self.name, **{**known, "vocab_size": len(tokenizer), **self.more})
        auto: Any = AutoModelForCausalLM if self.task == "instruction" else AutoModel
        auto = AutoModelForTextEncoding if config.is_encoder_decoder and auto is AutoModel else auto
        with torch.random.fork_rng(), quiet():
            torch.manual_seed(7)
            auto.from_config(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


TEXT = {**SMALL, "head_dim": 8, "vocab_size": len(SPECIALS) + 3 + len(WORDS)}
GEMMA = {
    "head_dim": 8,
    "final_logit_softcapping": 5.0,
    "num_kv_shared_layers": 0,
    "vocab_size_per_layer_input": TEXT["vocab_size"],
    "hidden_size_per_layer_input": 8,
}
PICTURES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "image_size": 28}
PLAIN = (
    "llama mistral qwen2 qwen3 smollm3 phi phi3 gemma gemma2 cohere cohere2 olmo olmo2 opt gpt2 gpt_bigcode "
    "gpt_neox bloom mpt stablelm starcoder2 glm nemotron exaone4 nanochat xglm falcon mamba rwkv bert"
)
MIXTURES = "mixtral qwen3_moe qwen2_moe gpt_oss phimoe"
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8}
ENCODERS = "bert roberta distilbert albert electra modernbert xlm-roberta mpnet ernie rembert roformer fnet llama"
RELATIVE = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
DEBERTA_V3 = {
    **RELATIVE,
    "share_att_key": True,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "position_biased_input": False,
    "type_vocab_size": 0,
}
ARCHITECTURES = (
    *(Architecture(name, "instruction") for name in PLAIN.split()),
    *(Architecture(name, "instruction", EXPERTS) for name in MIXTURES.split()),
    Architecture("granite", "instruction", {"logits_scaling": 6.0, "embedding_multiplier": 4.0}),
    Architecture("granitemoe", "instruction", {**EXPERTS, "logits_scaling": 3.0}),
    Architecture(
        "granitemoehybrid",
        "instruction",
        {**EXPERTS, **MAMBA, "logits_scaling": 3.0, "layer_types": ["attention", "mamba"]},
    ),
    Architecture("bamba", "instruction", {**MAMBA, "attn_layer_indices": [1]}),
    Architecture(
        "falcon_h1",
        "instruction",
        {**MAMBA, "mamba_n_heads": 4, "mamba_d_ssm": 32, "head_dim": 8, "lm_head_multiplier": 0.25},
    ),
    Architecture("cohere2_moe", "instruction", {**EXPERTS, "logit_scale": 0.3}),
    Architecture("gemma3_text", "instruction", {"head_dim": 8, "final_logit_softcapping": 5.0}),
    Architecture("gemma3n_text", "instruction", {**GEMMA, "laurel_rank": 4, "activation_sparsity_pattern": [0.0, 0.0]}),
    Architecture("gemma4_text", "instruction", {**GEMMA, "global_head_dim": 8}),
    Architecture("helium", "instruction", {"head_dim": 8}),
    Architecture("gpt_neo", "instruction", {"attention_types": [[["global", "local"], 1]]}),
    Architecture("gptj", "instruction", {"rotary_dim": 4}),
    Architecture("jamba", "instruction", {"num_experts": 2, "attn_layer_period": 2, "attn_layer_offset": 1}),
    Architecture(
        "gemma3",
        "instruction",
        {"text_config": TEXT, "vision_config": {**PICTURES, "patch_size": 14}, "mm_tokens_per_image": 4},
        tuple(SMALL),
    ),
    *(Architecture(name, "classification") for name in ENCODERS.split()),
    Architecture("deberta", "classification", RELATIVE),
    Architecture("deberta-v2", "classification", DEBERTA_V3),
    Architecture("longformer", "classification", {"attention_window": 8}),
    Architecture("t5", "classification", {"num_layers": 2, "d_kv": 8, "d_ff": 64}),
)


def tried(architecture: Architecture, folder: Path, changes: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the row of an architecture.

    Parameters
    ----------
    architecture
        The architecture.
    folder
        An empty folder for the model.
    changes
        Fields of ``[adapter]`` to set.
    """
    architecture.save(folder)
    row = {"architecture": architecture.name, "task": architecture.task}
    try:
        learner = load_learner(config_of(architecture, folder, changes))
        examples = _examples(learner, architecture.task)
        self_check(learner, examples, len(examples))
        difference = _loss_difference(learner, folder, examples) if architecture.task == "instruction" else None
    except HushtuneError as refusal:
        said = " ".join(str(refusal).replace(str(folder), architecture.name).split())
        return {**row, "adapted": "", "result": f"refused: {said}"}
    adapted = sorted(
        {name.split(".lora_")[0].rsplit(".", 1)[-1] for name, p in learner.model.named_parameters() if p.requires_grad}
    )
    names = ", ".join(name for name in adapted if name not in ("weight", "bias", "head"))
    return {**row, "adapted": names, "result": "trains" if difference is None else f"trains; loss within {difference:.0e}"}


def config_of(architecture: Architecture, folder: Path, changes: Mapping[str, Any] | None = None) -> RunConfig:
    """Return a run's config for the model in a folder, with changes of ``[adapter]``."""
    return RunConfig.model_validate(
        {
            "model": {"name": str(folder), "dtype": "float32", "device": "cpu", "max_length": 32},
            "adapter": {"rank": 2, **(changes or {})},
            "task": {"name": architecture.task, **({} if architecture.task == "instruction" else {"labels": ["no", "yes"]})},
            "data": {"sites": [{"id": name, "file": f"{name}.jsonl", "declared_size": 100} for name in ("north", "south")]},
        }
    )


def _tokenizer() -> PreTrainedTokenizerFast:
    pieces = {piece: number for number, piece in enumerate((*SPECIALS, "user", "system", "assistant", *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(pieces, unk_token=SPECIALS[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="[bos] $A", special_tokens=[("[bos]", 2)])
    names = dict(zip(("unk_token", "pad_token", "bos_token", "eos_token"), SPECIALS, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=TEMPLATE, **names)  # type: ignore[no-untyped-call]


def _examples(learner: Learner, task: TaskName) -> list[Example]:
    """Return made-up records of different lengths, encoded."""
    drawn = np.random.default_rng(3)
    texts = [" ".join(drawn.choice(WORDS, size)) for size in (9, 4, 6, 4)]
    if task == "instruction":
        return learner.task.encode([Record({"instruction": text, "response": text[: 2 * len(text) // 3]}) for text in texts])
    return learner.task.encode([Record({"text": text}, ("no", "yes")[len(text) % 2]) for text in texts])


def _loss_difference(learner: Learner, folder: Path, examples: Sequence[Example]) -> float:
    """Return the largest difference between our loss of a record and that of the model as its library loads it, in nats."""
    with quiet():
        plain: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        plain.eval()
    worst = 0.0
    with torch.no_grad(), learner.batch(examples) as batch:
        ours = learner.task.losses(learner.model.eval(), batch)
        for example, own in zip(examples, ours, strict=True):
            labels = torch.from_numpy(np.where(np.asarray(example.target), example.ids, -100))[1:]
            said = plain(input_ids=torch.from_numpy(example.ids)[None]).logits[0, :-1].float()
            worst = max(worst, abs(float(F.cross_entropy(said, labels) - own)))
    return worst


def written(rows: Sequence[Mapping[str, str]]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| architecture | task | adapted layers | what happens |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(value.replace('|', '/') for value in row.values())} |" for row in rows)])


def main() -> None:
    """Print the table, or write it to the docs."""
    parser = parser_of(__doc__, as_json=True)
    parser.add_argument("--only", nargs="*", default=[], help="model types to try; all without it")
    parser.add_argument("--write", action="store_true", help="replace the table in docs/models.md")
    arguments = parser.parse_args()
    rows = []
    for architecture in ARCHITECTURES:
        if not arguments.only or architecture.name in arguments.only:
            with tempfile.TemporaryDirectory() as scratch:
                rows.append(tried(architecture, Path(scratch)))
    if arguments.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        PAGE.write_text(f"{before}{MARKS[0]}\n\n{written(rows)}\n\n{MARKS[1]}{after}", encoding="utf-8")
        return
    print_rows(rows, arguments.json)


if __name__ == "__main__":
    main()
