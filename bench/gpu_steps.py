"""Measure the time and memory of a step of a large random model, for `bench.gpu`: ours, plain PEFT LoRA and Opacus."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from bench.gpu_checks import PACKED, PADDED, TINY, Row, compared, synchronised
from bench.step import VARIANTS, Variant, step_of
from shared.config.run import RunConfig
from shared.config.training import TrainingSection
from shared.errors import HushtuneError
from shared.models.library import quiet
from shared.tasks import TASKS, load_task
from shared.tasks.base import Learner
from shared.tasks.examples import Example

TURNS = 5
# Billions of parameters, the bytes of memory from which they are tried, and the shape: that of Llama 3.1 8B, 3.2 3B and 1B.
SHAPES: Mapping[int, tuple[float, Mapping[str, Any]]] = {
    8: (60e9, {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "intermediate_size": 14336}),
    3: (30e9, {"hidden_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 24, "intermediate_size": 8192}),
    1: (0.0, {"hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32, "intermediate_size": 8192}),
}
VOCABULARY = 128_256


def large(config: RunConfig, shape: Mapping[str, Any]) -> Learner:
    """Return a learner with a random Llama-like base model of this shape, made on the device in bfloat16.

    Parameters
    ----------
    config
        Config of the small decoder, whose tokenizer stands in: the records are random tokens.
    shape
        Fields of the model's config.
    """
    base, _ = load_task(config)
    on_cpu = base.device.type == "cpu"
    with quiet(), base.device:
        network: Any = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
            LlamaConfig(**shape, pad_token_id=1, bos_token_id=2, eos_token_id=3),
            dtype=torch.bfloat16,
            attn_implementation="eager" if on_cpu else "sdpa",
        )
    network.requires_grad_(False)
    base = replace(base, network=network.eval(), dtype=torch.bfloat16)
    task = TASKS[config.task.name](config, base)
    return Learner(base, task, task.build(base, config.run.seed))


def costs(learner: Learner, training: TrainingSection, *, tiny: bool) -> list[Row]:
    """Return the large model's comparison with single records, and time and peak memory of each variant of a step."""
    parameters = sum(p.numel() for p in learner.base.network.parameters())
    vocabulary, longest = learner.base.network.config.vocab_size, 32 if tiny else 512
    drawn = np.random.default_rng(5)
    examples = [
        Example(drawn.integers(4, vocabulary, size), np.arange(size) >= size // 2)
        for size in np.linspace(longest // 8, longest, 4 if tiny else 16).astype(int)
    ]
    part = f"model of {parameters / 1e9:.3g} G"
    way = f"{PACKED if learner.packs else PADDED}, bfloat16"
    rows = [_unless_full(part, way, lambda: compared(part, way, learner, examples[-4:]))]
    plain: Mapping[str, Any] = {}
    for name, variant, batch_of in _variants(learner, examples):
        with step_of(variant, learner.model.train(), learner.task, training, batch_of, len(examples)) as step:
            row = _unless_full(part, name, partial(measured, part, name, learner.base.device, step, plain))
        plain = row.numbers if variant == VARIANTS[0] else plain
        rows.append(row)
    return rows


def _variants(learner: Learner, examples: Sequence[Example]) -> Iterator[tuple[str, Variant, Callable[[], Any]]]:
    """Yield each variant of a step with its name and how it gets its batch; checkpointing is on only for the last."""

    def padded() -> Any:
        return nullcontext(learner.padded(examples))

    for variant in VARIANTS:
        yield f"step, {variant}, padded", variant, padded
    if learner.packs:
        yield "step, ours, end to end", "ours", lambda: learner.batch(examples)
        with quiet():
            learner.base.network.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[no-untyped-call]
        yield "step, ours, end to end, checkpointing", "ours", lambda: learner.batch(examples)


def measured(part: str, name: str, place: torch.device, step: Callable[[], None], plain: Mapping[str, Any]) -> Row:
    """Take some steps; return their median time and the peak memory above the model, beside those of plain PEFT LoRA."""
    step()  # warm-up
    before = _allocated(place, reset=True)
    times = []
    for _ in range(TURNS):
        with synchronised(place) as spent:
            step()
        times.append(spent[0])
    seconds, megabytes = statistics.median(times), (_allocated(place) - before) / 2**20
    seen = f"{1000 * seconds:.0f} ms" + (f", {megabytes:.0f} MB" if megabytes else "")
    if plain:
        seen += f" ({seconds / plain['seconds']:.2f} of the time"
        seen += f", {megabytes / plain['megabytes']:.2f} of the memory)" if plain["megabytes"] else ")"
    return Row(part, name, seen, numbers={"seconds": seconds, "megabytes": megabytes})


def _unless_full(part: str, name: str, made: Callable[[], Row]) -> Row:
    """Return the row, or one that says that the device's memory was too small or which error another library raised."""
    try:
        return made()
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return Row(part, name, "does not fit the memory")
    except HushtuneError as refusal:
        return Row(part, name, f"refused: {refusal}", passed=False)
    except RuntimeError as error:
        return Row(part, name, f"failed: {type(error).__name__}", passed=False)


def _allocated(place: torch.device, *, reset: bool = False) -> int:
    """Return the bytes that tensors take on a GPU: now, after a reset of the peak, else at the peak; 0 on a CPU."""
    if place.type != "cuda":
        return 0
    if not reset:
        return torch.cuda.max_memory_allocated(place)
    torch.cuda.reset_peak_memory_stats(place)
    return torch.cuda.memory_allocated(place)


def large_shape(place: torch.device, *, tiny: bool, billions: int | None) -> Mapping[str, Any]:
    """Return the shape of the large model: as asked, or the largest that the device's memory has room for."""
    if tiny:
        return {**TINY, "num_key_value_heads": 2, "vocab_size": 100}
    memory = torch.cuda.get_device_properties(place).total_memory if place.type == "cuda" else 0
    chosen = billions or next(size for size, (least, _) in SHAPES.items() if memory >= least)
    return {**SHAPES[chosen][1], "num_key_value_heads": 8, "vocab_size": VOCABULARY, "tie_word_embeddings": chosen < 8}
