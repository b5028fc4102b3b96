"""Time and memory of one training step: plain PEFT LoRA, Opacus' hooks, and ours, interleaved in one run.

Run: make bench. Times are paired ratios to plain PEFT LoRA, medians over rounds in which each variant takes one step in
turn; memory is the peak above the loaded model, each variant in a process of its own. Rows: runs/bench/bench.json.
"""

import json
import multiprocessing
import resource
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from rich.console import Console
from rich.table import Table
from torch import nn

from privacy.dp.engine import make_private
from privacy.dp.plan import PrivacyPlan
from shared.config import RunConfig
from shared.tasks import load_task
from shared.tasks.base import Batch, Task

Variant = Literal["plain PEFT LoRA", "plain PEFT LoRA, A frozen", "Opacus hooks", "ours"]
VARIANTS: tuple[Variant, ...] = ("plain PEFT LoRA", "plain PEFT LoRA, A frozen", "Opacus hooks", "ours")
OUTPUT = Path("runs/bench/bench.json")
MEMORY_STEPS = 3
PLAN = PrivacyPlan(
    sampling_rate=0.1,
    noise_multiplier=0.7,
    clipping_norm=0.5,
    steps_per_round=10,
    rounds=3,
    target_delta=1e-4,
    declared_size=1000,
)


@dataclass(frozen=True)
class Case:
    """A model, a task and the shape of a batch."""

    name: str
    model: str
    task: Literal["classification", "instruction"]
    records: int
    tokens: int
    repeats: int


CASES = (
    Case("minilm, 32 records of 64 tokens", "minilm", "classification", 32, 64, 9),
    Case("minilm, 32 records of 128 tokens", "minilm", "classification", 32, 128, 7),
    Case("smollm2-135m, 8 records of 128 tokens", "smollm2-135m", "instruction", 8, 128, 5),
)


def main() -> None:
    """Measure every case, print a table and write the rows."""
    rows = [row for case in CASES for row in measure(case)]
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    table = Table("case", "variant", "time ratio", "memory ratio", title="One training step, against plain PEFT LoRA")
    for row in rows:
        table.add_row(str(row["case"]), str(row["variant"]), f"{row['time_ratio']:.2f}", f"{row['memory_ratio']:.2f}")
    Console(width=110).print(table, f"{torch.get_num_threads()} threads. Rows: {OUTPUT}")


def measure(case: Case) -> list[dict[str, str | float]]:
    """The rows of one case: each variant's median paired time ratio and its memory ratio."""
    memory = {variant: _peak_memory(case, variant) for variant in VARIANTS}
    with ExitStack() as stack:
        steps = {variant: stack.enter_context(_step(case, variant)) for variant in VARIANTS}
        for step in steps.values():
            step()  # warm-up
        times = [{variant: _timed(step) for variant, step in steps.items()} for _ in range(case.repeats)]
    plain = VARIANTS[0]
    return [
        {
            "case": case.name,
            "variant": variant,
            "time_ratio": round(statistics.median(turn[variant] / turn[plain] for turn in times), 3),
            "memory_ratio": round(memory[variant] / memory[plain], 3),
            "seconds": round(statistics.median(turn[variant] for turn in times), 4),
            "megabytes": round(memory[variant] / 2**20, 1),
        }
        for variant in VARIANTS
    ]


def _timed(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def _config(case: Case, variant: Variant) -> RunConfig:
    """The run that a variant would belong to; only what shapes the step matters."""
    both = variant in ("plain PEFT LoRA", "Opacus hooks")
    tree: Mapping[str, object] = {
        "model": {"name": case.model, "max_length": case.tokens},
        "adapter": {"rank": 16, "train": "AB" if both else "B"},
        "task": {"name": case.task, "labels": ["a", "b"] if case.task == "classification" else []},
        "data": {"sites": [{"id": "bench", "file": "none.jsonl", "declared_size": PLAN.declared_size}]},
        "privacy": {"enabled": not both},
    }
    return RunConfig.parse(tree, "bench")


@contextmanager
def _step(case: Case, variant: Variant) -> Iterator[Callable[[], None]]:
    """One whole training step of a variant: gradients, clipping and noise where it has them, and AdamW."""
    torch.manual_seed(0)
    warnings.filterwarnings("ignore", message="Full backward hook is firing")  # the first layer's input needs no gradient
    base, task = load_task(_config(case, variant))
    model = task.build(base, 0).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    batch = _batch(case, base.network.config.vocab_size, base.device)
    if variant == "ours":
        with make_private(model, optimizer, PLAN, PLAN.expected_batch) as (wrapped, step):
            yield lambda: _private(wrapped, task, batch, step.accumulate, step.finish)
    elif variant == "Opacus hooks":
        wrapped = GradSampleModule(model, batch_first=True, loss_reduction="sum")
        private = DPOptimizer(
            optimizer,
            noise_multiplier=PLAN.noise_multiplier,
            max_grad_norm=PLAN.clipping_norm,
            expected_batch_size=case.records,
        )
        yield lambda: _private(wrapped, task, batch, private.step, private.zero_grad)
    else:
        yield lambda: _plain(model, task, batch, optimizer)


def _private(model: nn.Module, task: Task, batch: Batch, first: Callable[[], object], second: Callable[[], object]) -> None:
    torch.autograd.backward(task.losses(model, batch).sum())
    first()
    second()


def _plain(model: nn.Module, task: Task, batch: Batch, optimizer: torch.optim.Optimizer) -> None:
    torch.autograd.backward(task.losses(model, batch).mean())
    optimizer.step()
    optimizer.zero_grad()


def _batch(case: Case, vocabulary: int, device: torch.device) -> Batch:
    """Random tokens of full length; the second half of each record is the response."""
    ids = torch.randint(0, vocabulary, (case.records, case.tokens))
    targets = torch.arange(case.records) % 2
    if case.task == "instruction":
        targets = (torch.arange(case.tokens) >= case.tokens // 2).expand(case.records, -1)
    return Batch(ids.to(device), torch.ones_like(ids).to(device), targets.to(device))


def _peak_memory(case: Case, variant: Variant) -> float:
    """Bytes above the loaded model at the peak of some steps, in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measure_memory, (case, variant))


def _measure_memory(case: Case, variant: Variant) -> float:
    with _step(case, variant) as step:
        loaded = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
        for _ in range(MEMORY_STEPS):
            step()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0 - loaded


if __name__ == "__main__":
    main()
