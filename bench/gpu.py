"""Try everything that runs differently on a GPU, in one command: make gpu, or python -m bench.gpu.

It compares per-record gradients with single records for each way of computing a batch, in float32 and in the dtype that
trains; checks the noise that the device draws; splits a step over two processes; and measures the time and peak memory of a
step beside plain PEFT LoRA and Opacus, on a random model of 1 to 8 billion parameters, as many as fit. The model is made on
the spot. The exit status is 1 if a check failed. ``--device cpu --tiny`` takes the same path on a tiny model; its times say
nothing about a GPU. Rows: runs/bench/gpu.json.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoModelForCausalLM, LlamaConfig

from bench.architectures import WORDS, Architecture, config_of
from bench.meter import SIZES, plan_of
from bench.step import PLAN, VARIANTS, Variant, step_of
from client.exactness import longest_and_shortest, loss_of
from client.trainer import accumulate, alone
from client.units import Rows
from client.workers import Workers
from privacy.audit.meter import meter
from privacy.dp.engine import PrivateSum, sharing
from privacy.dp.noise import rounded_gaussian
from privacy.dp.rounding import PER_ROOT, base_dtype
from privacy.dp.selfcheck import TOLERANCE, furthest_as_trained, largest_difference, limit_as_trained, rounding_moved
from shared.config.run import RunConfig
from shared.config.training import TrainingSection
from shared.errors import HushtuneError
from shared.models.library import quiet
from shared.models.load import choose_device
from shared.ops.extras import is_installed
from shared.records.types import Record
from shared.tasks import TASKS, load_learner, load_task
from shared.tasks.base import Learner
from shared.tasks.examples import Example

OUTPUT = Path("runs/bench/gpu.json")
RECORDS = 8  # of a comparison with single records
DRAWS = 1 << 24  # numbers of noise
SPREAD = 6.0  # standard errors that a statistic of the noise may be off; an honest device fails one such check in 5e8
TURNS = 5
CLAIM = 1.29  # noise multiplier that the meter is given
# Billions of parameters, the bytes of memory from which they are tried, and the shape: that of Llama 3.1 8B, 3.2 3B and 1B.
SHAPES: Mapping[int, tuple[float, Mapping[str, Any]]] = {
    8: (60e9, {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "intermediate_size": 14336}),
    3: (30e9, {"hidden_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 24, "intermediate_size": 8192}),
    1: (0.0, {"hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32, "intermediate_size": 8192}),
}
VOCABULARY = 128_256
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 100}
SMALL = {"hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8, "intermediate_size": 1024}
PADDED, PACKED = "padded", "end to end"


@dataclass(frozen=True)
class Row:
    """One line of the table: what was tried, what was seen, and whether it is within its limit (None: it has none)."""

    part: str
    name: str
    seen: str
    limit: str = ""
    passed: bool | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)


def main() -> None:
    """Try all parts, print the table and write the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="cuda", help="where to compute")
    parser.add_argument("--tiny", action="store_true", help="a tiny model and little noise, to try the command itself")
    parser.add_argument("--parameters", type=int, choices=sorted(SHAPES), help="billions; default: by the device's memory")
    arguments = parser.parse_args()
    started = time.monotonic()
    try:
        rows = tried(arguments.device, tiny=arguments.tiny, billions=arguments.parameters)
    except HushtuneError as refusal:
        sys.exit(f"bench.gpu: {refusal}")
    table = Table("part", "what", "seen", "limit", "result", title=f"Checks and times on {_device_name(arguments.device)}")
    for row in rows:
        result = {True: "passed", False: "FAILED", None: ""}[row.passed]
        table.add_row(row.part, row.name, row.seen, row.limit, result)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    about = {"device": _device_name(arguments.device), "torch": torch.__version__, "tiny": arguments.tiny}
    found = {**about, "seconds": round(time.monotonic() - started, 1), "rows": [asdict(row) for row in rows]}
    OUTPUT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    Console(width=150).print(table, f"{found['seconds']} s. Rows: {OUTPUT}")
    if any(row.passed is False for row in rows):
        sys.exit(1)


def tried(device: str, *, tiny: bool, billions: int | None = None) -> list[Row]:
    """Return the rows of all parts.

    Parameters
    ----------
    device
        ``auto``, ``cuda`` or ``cpu``.
    tiny
        Whether to try the command itself, on tiny models.
    billions
        Billions of parameters of the large model; None chooses by the device's memory.
    """
    place = choose_device(device)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        for kind in ("instruction", "classification"):
            folder = Path(scratch) / kind
            config = small_config(kind, folder, place, tiny=tiny)
            for path in paths():
                rows += _shown(partial(exactness, config, path))
        rows += _shown(lambda: noise(place, DRAWS >> 8 if tiny else DRAWS))
        instruction = small_config("instruction", Path(scratch) / "instruction", place, tiny=tiny, saved=True)
        rows += _shown(lambda: processes(instruction))
        learner = large(instruction, _shape(place, tiny=tiny, billions=billions))
    rows += _shown(lambda: costs(learner, instruction.training, tiny=tiny))
    return rows


def _shown(part: Callable[[], list[Row]]) -> list[Row]:
    """Return the rows of a part, and show each in one line as it comes, because the whole takes minutes."""
    rows = part()
    for row in rows:
        sys.stderr.write(f"{row.part}: {row.name}: {row.seen}\n")
    return rows


@dataclass(frozen=True)
class Way:
    """A way of computing a batch."""

    dtype: str
    batch: str = PADDED
    checkpointing: bool = False

    @property
    def name(self) -> str:
        """Return the way in words."""
        return f"{self.batch}, {self.dtype}{', checkpointing' * self.checkpointing}"


def paths() -> tuple[Way, ...]:
    """Return every way that a run can ask for."""
    return tuple(
        Way(dtype, batch, checkpointing)
        for dtype in ("float32", "bfloat16", "nf4")
        for batch in (PADDED, PACKED)
        for checkpointing in (False, True)
    )


def small_config(kind: str, folder: Path, place: torch.device, *, tiny: bool, saved: bool = False) -> RunConfig:
    """Return the config of a small random model, which is written to the folder: a decoder or an encoder."""
    shape = {**(TINY if tiny else SMALL), "max_position_embeddings": 64 if tiny else 512, "initializer_range": 0.05}
    shape.pop("vocab_size", None)
    name, task = ("llama", "instruction") if kind == "instruction" else ("bert", "classification")
    architecture = Architecture(name, task, shape)  # type: ignore[arg-type]
    if not saved:
        architecture.save(folder)
    tree = config_of(architecture, folder).model_dump(mode="json")
    tree["model"] |= {"device": place.type, "max_length": 32 if tiny else 256}
    tree["adapter"]["rank"] = 4
    tree["privacy"]["self_check"] = RECORDS
    return RunConfig.parse(tree, "bench.gpu")


def exactness(config: RunConfig, way: Way) -> list[Row]:
    """Compare per-record gradients with those of single records, for one way of computing a batch.

    Parameters
    ----------
    config
        Config of the small model.
    way
        The way.
    """
    part = f"exactness, {'decoder' if config.task.name == 'instruction' else 'encoder'}"
    if way.dtype == "nf4" and not is_installed("bitsandbytes"):
        return [Row(part, way.name, "left out: bitsandbytes is not installed")]
    tree = config.model_dump(mode="json")
    tree["model"]["dtype"], tree["training"]["checkpointing"] = way.dtype, way.checkpointing
    try:
        learner = load_learner(RunConfig.parse(tree, "bench.gpu"))
        if way.batch == PACKED and not learner.packs:
            return [Row(part, way.name, "left out: here this dtype is always padded")]
        return [compared(part, way.name, replace(learner, may_pack=way.batch == PACKED), records_of(learner))]
    except (HushtuneError, RuntimeError) as error:
        said = str(error) if isinstance(error, HushtuneError) else type(error).__name__
        return [Row(part, way.name, f"refused: {said}", passed=False)]


def compared(part: str, name: str, learner: Learner, examples: Sequence[Example]) -> Row:
    """Make the three comparisons that a site makes before it trains, and return them as one row."""
    chosen, dtype = longest_and_shortest(examples, RECORDS), base_dtype(learner.model)
    with loss_of(learner, chosen, 0.0) as losses:
        exact = largest_difference(learner.model, losses, len(chosen))
        found, rounding = (exact, 0.0) if dtype == "float32" else furthest_as_trained(learner.model, losses, len(chosen))
        moved = rounding_moved(learner.model, losses, len(chosen))
    limit, charged = TOLERANCE if dtype == "float32" else limit_as_trained(rounding), PER_ROOT[dtype]
    return Row(
        part,
        name,
        f"float32 {exact:.1e}, as trained {found:.1e}, others moved {moved:.1e}",
        f"{TOLERANCE:.0e}, {limit:.1e}, {charged:.0e}",
        exact <= TOLERANCE and found <= limit and moved <= charged,
        {"float32": exact, "as_trained": found, "rounding": rounding, "moved": moved},
    )


def records_of(learner: Learner, count: int = RECORDS) -> list[Example]:
    """Return made-up records of different lengths, encoded; the longest are cut."""
    drawn = np.random.default_rng(3)
    longest = learner.task.max_length
    texts = [" ".join(drawn.choice(WORDS, int(size))) for size in np.linspace(2, 0.6 * longest, count)]
    if learner.base.kind == "causal":
        return learner.task.encode([Record({"instruction": text, "response": text[: len(text) // 2]}) for text in texts])
    return learner.task.encode([Record({"text": text}, ("no", "yes")[place % 2]) for place, text in enumerate(texts)])


def noise(place: torch.device, draws: int) -> list[Row]:
    """Check the noise that the device draws: the meter's checks, moments, tails, and the time of a draw."""
    reading = meter(plan_of(CLAIM), SIZES, place.type)
    rows = [
        Row("noise, meter", each.name, f"{each.seen:.4g}", str(each.allowed), each.passed, {"seen": each.seen})
        for each in reading.checks
    ]
    std = 2.0**40
    rounded_gaussian(1 << 10, std, place)
    with _synchronised(place) as spent:
        drawn = rounded_gaussian(draws, std, place)
    values = (drawn.double() + 0.5) / std
    expected = math.erfc(3 / math.sqrt(2))  # share of a Gaussian beyond 3 standard deviations
    seen = {
        "mean": (float(values.mean()), 0.0, 1 / math.sqrt(draws)),
        "standard deviation": (float(values.square().mean().sqrt()), 1.0, 1 / math.sqrt(2 * draws)),
        "share beyond 3": (float((values.abs() > 3).double().mean()), expected, math.sqrt(expected / draws)),
    }
    for name, (value, wanted, error) in seen.items():
        allowed = f"{wanted:.4g} +- {SPREAD * error:.1e}"
        rows.append(Row("noise", name, f"{value:.6f}", allowed, abs(value - wanted) <= SPREAD * error, {"seen": value}))
    rate = draws / spent[0] / 1e6
    return [*rows, Row("noise", "millions of numbers a second", f"{rate:.1f}", numbers={"millions_a_second": rate})]


def processes(config: RunConfig) -> list[Row]:
    """Compare a clipped sum that two processes computed with that of one."""
    part, name = "two processes", "clipped sum, against one process"
    if config.model.device == "cuda" and torch.cuda.device_count() < 2:
        return [Row(part, name, "left out: one GPU")]
    learner = load_learner(config)
    learner.model.train()
    examples = records_of(learner)
    rows = Rows(examples, [(row,) for row in range(len(examples))])
    crew, totals = Workers(config, 2), []
    try:
        crew.muster(learner, PLAN, examples)
        for others in (alone, crew.sharing):
            with sharing(learner.model, PLAN) as (model, step):
                assert isinstance(step, PrivateSum)  # noqa: S101  PLAN is a plan
                with others(step, rows, None) as own:
                    accumulate(learner, model, step, own, None, config.training)
                totals.append(step.total())
    finally:
        crew.close()
    apart = float((totals[1] - totals[0]).norm() / totals[0].norm())
    return [Row(part, name, f"{apart:.1e}", "1e-06", apart < 1e-6, {"apart": apart})]


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
        with _synchronised(place) as spent:
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


@contextmanager
def _synchronised(place: torch.device) -> Iterator[list[float]]:
    """Measure the seconds of the block, the work that it queued included; the list has them after the block."""

    def wait() -> None:
        if place.type == "cuda":
            torch.cuda.synchronize(place)

    spent: list[float] = []
    wait()
    started = time.perf_counter()
    yield spent
    wait()
    spent.append(time.perf_counter() - started)


def _allocated(place: torch.device, *, reset: bool = False) -> int:
    """Return the bytes that tensors take on a GPU: now, after a reset of the peak, else at the peak; 0 on a CPU."""
    if place.type != "cuda":
        return 0
    if not reset:
        return torch.cuda.max_memory_allocated(place)
    torch.cuda.reset_peak_memory_stats(place)
    return torch.cuda.memory_allocated(place)


def _shape(place: torch.device, *, tiny: bool, billions: int | None) -> Mapping[str, Any]:
    """Return the shape of the large model: as asked, or the largest that the device's memory has room for."""
    if tiny:
        return {**TINY, "num_key_value_heads": 2}
    memory = torch.cuda.get_device_properties(place).total_memory if place.type == "cuda" else 0
    chosen = billions or next(size for size, (least, _) in SHAPES.items() if memory >= least)
    return {**SHAPES[chosen][1], "num_key_value_heads": 8, "vocab_size": VOCABULARY, "tie_word_embeddings": chosen < 8}


def _device_name(device: str) -> str:
    place = choose_device(device)
    return torch.cuda.get_device_name(place) if place.type == "cuda" else place.type


if __name__ == "__main__":
    main()
