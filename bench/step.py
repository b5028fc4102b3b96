"""Compare time and memory of one training step: plain PEFT LoRA, our fused step without privacy, Opacus, and ours.

Run: make bench, or python -m bench.step PART for the cases with PART in their name. Within a case, every variant trains the
same tensors on the same batch. In each turn every variant takes one step; times are ratios to plain PEFT LoRA in the same
turn, medians over turns. ``processor_ratio`` compares processor time, which other work on the machine disturbs less. Memory
is the peak above the loaded model; each variant runs in its own process. For an instruction task, plain PEFT and Opacus use
torch's cross-entropy over the response positions; the fused variants use the task's own loss and the trainer's AdamW.
Rows: runs/bench/bench.json.
"""

import json
import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from opacus import GradSampleModule
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
from rich.console import Console
from rich.table import Table
from torch import nn

from bench.table import parser_of
from client.optimizer import optimizer_of
from privacy.dp.engine import Step, make_private
from privacy.dp.plan import PrivacyPlan
from shared.config.run import RunConfig
from shared.config.training import TrainingSection
from shared.tasks import load_task
from shared.tasks.base import Task
from shared.tasks.examples import Batch

Variant = Literal["plain PEFT LoRA", "plain fused", "Opacus hooks", "Opacus ghost", "ours"]
VARIANTS: tuple[Variant, ...] = ("plain PEFT LoRA", "plain fused", "Opacus hooks", "Opacus ghost", "ours")
Batches = Callable[[], AbstractContextManager[Batch]]
OUTPUT = Path("runs/bench/bench.json")
MEMORY_STEPS = 2
RANK = 8
PLAN = PrivacyPlan(
    sampling_rate=0.1,
    noise_multiplier=0.7,
    clipping_norm=0.5,
    steps_per_round=10,
    rounds=3,
    target_delta=1e-4,
    declared_size=1000,
)
NOISE: Mapping[str, float] = {"noise_multiplier": PLAN.noise_multiplier, "max_grad_norm": PLAN.clipping_norm}
LINEAR = ("query", "key", "value", "dense")
LAYERS = 6  # the number of minilm's layers; naming them excludes its pooler, which the task does not use


@dataclass(frozen=True)
class Case:
    """A model, a task, the shape of a batch, and the adapted layers; empty ``targets`` mean the attention layers."""

    name: str
    model: str
    task: Literal["classification", "instruction"]
    records: int
    tokens: int
    turns: int
    targets: tuple[str, ...] = ()
    train: Literal["B", "AB"] = "B"


CASES = (
    Case("minilm, 32 records of 64 tokens, attention", "minilm", "classification", 32, 64, 7),
    Case("minilm, 32 records of 64 tokens, attention, A and B", "minilm", "classification", 32, 64, 7, train="AB"),
    Case("minilm, 32 records of 64 tokens, all linear", "minilm", "classification", 32, 64, 7, LINEAR),
    Case("minilm, 32 records of 128 tokens, attention", "minilm", "classification", 32, 128, 5),
    Case("minilm, 32 records of 128 tokens, all linear", "minilm", "classification", 32, 128, 5, LINEAR),
    Case("smollm2-135m, 8 records of 128 tokens, attention", "smollm2-135m", "instruction", 8, 128, 3),
    Case("smollm2-135m, 16 records of 128 tokens, attention", "smollm2-135m", "instruction", 16, 128, 3),
)


def main() -> None:
    """Measure the cases, print a table and write the rows."""
    parser = parser_of(__doc__)
    parser.add_argument("part", nargs="?", default="", help="only the cases with this part in their name")
    part = parser.parse_args().part
    columns = ("time_ratio", "processor_ratio", "memory_ratio")
    table = Table("case", "variant", "time", "processor", "memory", title="One training step, against plain PEFT LoRA")
    rows: list[dict[str, str | float]] = []
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    for case in (case for case in CASES if part in case.name):
        rows += measure(case)
        OUTPUT.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    for row in rows:
        table.add_row(str(row["case"]), str(row["variant"]), *(f"{row[column]:.2f}" for column in columns))
    Console(width=110).print(table, f"{torch.get_num_threads()} threads, float32. Rows: {OUTPUT}")


def measure(case: Case) -> list[dict[str, str | float]]:
    """Measure one case; return one row per variant with its median time ratios and its memory ratio."""
    memory = {variant: _peak_memory(case, variant) for variant in VARIANTS}
    with ExitStack() as stack:
        steps = {variant: stack.enter_context(_step(case, variant)) for variant in VARIANTS}
        for step in steps.values():
            step()  # warm-up
        turns = [{variant: timed(step) for variant, step in steps.items()} for _ in range(case.turns)]
    plain = VARIANTS[0]
    return [
        {
            "case": case.name,
            "variant": variant,
            "time_ratio": round(statistics.median(turn[variant][0] / turn[plain][0] for turn in turns), 3),
            "processor_ratio": round(statistics.median(turn[variant][1] / turn[plain][1] for turn in turns), 3),
            "memory_ratio": round(memory[variant] / memory[plain], 3),
            "seconds": round(statistics.median(turn[variant][0] for turn in turns), 4),
            "megabytes": round(memory[variant] / 2**20, 1),
        }
        for variant in VARIANTS
    ]


def timed(step: Callable[[], None]) -> tuple[float, float]:
    """Run a step and return its wall-clock and processor seconds."""
    start, spent = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - start, time.process_time() - spent


def _config(case: Case) -> RunConfig:
    """Return a config for a case; only the fields that shape a step matter."""
    tree: Mapping[str, object] = {
        "model": {"name": case.model, "max_length": case.tokens, "dtype": "float32"},
        "adapter": {
            "rank": RANK,
            "targets": case.targets,
            "last_layers": LAYERS if case.targets else 0,
            "train": case.train,
        },
        "task": {"name": case.task, "labels": ["a", "b"] if case.task == "classification" else []},
        "data": {"sites": [{"id": "bench", "file": "none.jsonl", "declared_size": PLAN.declared_size}]},
        "privacy": {"enabled": False},
    }
    return RunConfig.parse(tree, "bench")


@contextmanager
def _step(case: Case, variant: Variant) -> Iterator[Callable[[], None]]:
    """Load the model of a case and yield a function that takes one full step of a variant."""
    torch.manual_seed(0)
    config = _config(case)
    base, task = load_task(config)
    model = task.build(base, 0).train()
    batch = _batch(case, base.network.config.vocab_size, base.device)
    with step_of(variant, model, task, config.training, lambda: nullcontext(batch), case.records) as step:
        yield step


@contextmanager
def step_of(
    variant: Variant,
    model: nn.Module,
    task: Task,
    training: TrainingSection,
    batch_of: Batches,
    records: int,
) -> Iterator[Callable[[], None]]:
    """Yield a function that takes one full step of a variant: gradients, clipping and noise if it has them, and AdamW.

    Parameters
    ----------
    variant
        What takes the step.
    model, task
        A model with an adapter, and its task.
    training
        The ``training`` section of a run, for the trainer's own optimiser.
    batch_of
        Returns a context that yields the batch of a step.
    records
        Number of records in it.
    """
    warnings.filterwarnings("ignore", message="Full backward hook is firing")  # the first layer's input needs no gradient
    if variant in ("ours", "plain fused"):
        plan = PLAN if variant == "ours" else None
        with make_private(model, optimizer_of(model, training), plan, PLAN.expected_batch) as (lent, step):
            yield lambda: _ours(lent, task, batch_of, step)
        return
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    wrapped: Any = None
    if variant == "Opacus hooks":
        wrapped = GradSampleModule(model, batch_first=True, loss_reduction="sum")
        private = DPOptimizer(optimizer, expected_batch_size=records, **NOISE)
        yield lambda: _plain(model, task, batch_of, private)
    elif variant == "Opacus ghost":
        wrapped = GradSampleModuleFastGradientClipping(model, loss_reduction="sum", max_grad_norm=PLAN.clipping_norm)
        fast = DPOptimizerFastGradientClipping(optimizer, expected_batch_size=records, **NOISE)
        yield lambda: _ghost(wrapped, model, task, batch_of, fast)
    else:
        yield lambda: _plain(model, task, batch_of, optimizer)
    if wrapped is not None:
        wrapped.remove_hooks()


def _ours(model: nn.Module, task: Task, batch_of: Batches, step: Step) -> None:
    with batch_of() as batch:
        torch.autograd.backward(task.losses(model, batch).sum())
    step.accumulate()
    step.finish()


def _plain(model: nn.Module, task: Task, batch_of: Batches, optimizer: torch.optim.Optimizer) -> None:
    with batch_of() as batch:
        torch.autograd.backward(_losses(model, task, batch).sum())
    optimizer.step()
    optimizer.zero_grad()


def _ghost(
    ghost: GradSampleModuleFastGradientClipping,
    model: nn.Module,
    task: Task,
    batch_of: Batches,
    optimizer: DPOptimizerFastGradientClipping,
) -> None:
    """Take a ghost-clipping step: one backward pass for norms, another for the clipped sum (Li 2022, arXiv 2110.05679)."""
    with batch_of() as batch:
        losses = _losses(model, task, batch)
    torch.autograd.backward(losses.sum(), retain_graph=True)
    optimizer.zero_grad()
    ghost.disable_hooks()
    torch.autograd.backward((ghost.get_clipping_coef() * losses).sum())
    ghost.enable_hooks()
    optimizer.step()
    optimizer.zero_grad()


def _losses(model: Any, task: Task, batch: Batch) -> torch.Tensor:
    """Return each record's loss, (B,), computed in the usual way: mean cross-entropy of its response tokens."""
    if task.embeds:
        return task.losses(model, batch)
    network = model.get_base_model()
    states = network.model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).last_hidden_state
    rows, places = batch.targets[:, 1:].nonzero(as_tuple=True)
    losses = F.cross_entropy(network.lm_head(states[rows, places]).float(), batch.ids[rows, places + 1], reduction="none")
    return torch.zeros(len(batch.ids), device=losses.device).index_add(0, rows, losses) / batch.targets[:, 1:].sum(dim=1)


def _batch(case: Case, vocabulary: int, device: torch.device) -> Batch:
    """Return a batch of random tokens of full length; the second half of each record is the response."""
    ids = torch.randint(0, vocabulary, (case.records, case.tokens))
    targets = torch.arange(case.records) % 2
    if case.task == "instruction":
        targets = (torch.arange(case.tokens) >= case.tokens // 2).expand(case.records, -1)
    return Batch(ids.to(device), torch.ones_like(ids).to(device), targets.to(device))


def _peak_memory(case: Case, variant: Variant) -> float:
    """Return the peak memory of some steps above the loaded model, in bytes, measured in a fresh process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["opacus", "client.trainer"])
    with context.Pool(1) as pool:
        return pool.apply(_measure_memory, (case, variant))


def _measure_memory(case: Case, variant: Variant) -> float:
    with _step(case, variant) as step:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # reset the kernel's record of the peak
        loaded = _resident("VmRSS")
        for _ in range(MEMORY_STEPS):
            step()
        return _resident("VmHWM") - loaded


def _resident(field: str) -> float:
    """Return the resident memory of this process in bytes: now (VmRSS), or at its peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(field))) * 1024


if __name__ == "__main__":
    main()
