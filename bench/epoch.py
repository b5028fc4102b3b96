"""Compare the speed of one local epoch without privacy: transformers' Trainer with PEFT, and our training loop.

Run: make bench-epoch DATA=FOLDER, where FOLDER contains .jsonl files with the fields question and answer. Every variant
trains the same adapter on the same batches of real records; the variants take turns within one run. Speeds are relative to
the Trainer in float32, its default. Rows: runs/bench/epoch.json.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainingArguments

from bench.table import parser_of
from client.optimizer import optimizer_of
from privacy.dp.engine import make_private
from shared.config.run import RunConfig
from shared.models.load import choose_device, choose_dtype
from shared.records.types import Record
from shared.tasks import load_task
from shared.tasks.base import Learner
from shared.tasks.examples import Example

OUTPUT = Path("runs/bench/epoch.json")
IGNORED = -100  # the label that transformers' loss ignores
TURNS, RECORDS, BATCH = 2, 48, 8  # epochs of each variant, records of an epoch, and records of a step


@dataclass(frozen=True)
class Variant:
    """A training loop and its precision; ``mixed`` is bfloat16 autocast over float32 weights."""

    name: str
    trainer: bool
    dtype: Literal["auto", "float32", "bfloat16"]
    mixed: bool = False


VARIANTS = (
    Variant("Trainer, float32", trainer=True, dtype="float32"),
    Variant("Trainer, bfloat16 autocast", trainer=True, dtype="float32", mixed=True),
    Variant("ours, float32", trainer=False, dtype="float32"),
    Variant("ours, dtype auto", trainer=False, dtype="auto"),
)


def variants() -> tuple[Variant, ...]:
    """Return the variants for this machine; without bfloat16 hardware, variants in bfloat16 would be many times slower."""
    half = choose_dtype("auto", choose_device("auto")) is torch.bfloat16
    return tuple(each for each in VARIANTS if half or not (each.mixed or each.dtype == "auto"))


class InOrder(Trainer):
    """The Trainer without shuffling, so that every variant sees the same batches."""

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        rows: Any = self.train_dataset if train_dataset is None else train_dataset
        return SequentialSampler(rows)


def main() -> None:
    """Measure an epoch over records of a folder, print a table and write the rows."""
    parser = parser_of(__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default="data/medquad", help="the folder of the .jsonl files")
    folder = parser.parse_args().folder
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        Console().print(f"skipped: no .jsonl files in {folder}; name a folder that has some: make bench-epoch DATA=FOLDER")
        return
    records = _records(files)
    turns = [{variant.name: _epoch(variant, records) for variant in variants()} for _ in range(TURNS)]
    rows = [_row(name, turns, len(records)) for name in turns[0]]
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    table = Table("variant", "records a second", "speed", "by processor time", title=f"One epoch of {len(records)} records")
    for row in rows:
        table.add_row(row["variant"], *(f"{row[key]:.2f}" for key in ("records_per_second", "speed", "processor_speed")))
    Console(width=110).print(table, f"{torch.get_num_threads()} threads. Rows: {OUTPUT}")


def _row(name: str, turns: Sequence[Mapping[str, tuple[float, float]]], records: int) -> dict[str, Any]:
    first = VARIANTS[0].name
    return {
        "variant": name,
        "records_per_second": round(records / statistics.median(turn[name][0] for turn in turns), 3),
        "speed": round(statistics.median(turn[first][0] / turn[name][0] for turn in turns), 3),
        "processor_speed": round(statistics.median(turn[first][1] / turn[name][1] for turn in turns), 3),
    }


def _records(files: Sequence[Path]) -> list[Record]:
    """Read the first records of each file; texts longer than the model's limit are truncated when they are encoded."""
    rows = []
    for file in files:
        with file.open(encoding="utf-8") as lines:
            rows += [json.loads(line) for line in islice(lines, -(-RECORDS // len(files)))]
    return [
        Record({"instruction": row["question"], "response": row["answer"]}, None, number)
        for number, row in enumerate(rows[:RECORDS], start=1)
    ]


def _config(variant: Variant) -> RunConfig:
    tree: Mapping[str, object] = {
        "model": {"name": "smollm2-135m", "max_length": 384, "dtype": variant.dtype},
        "adapter": {"rank": 8, "train": "AB"},
        "training": {"learning_rate": 1e-3},
        "task": {"name": "instruction"},
        "data": {"sites": [{"id": "bench", "file": "none.jsonl", "declared_size": 1000}]},
        "privacy": {"enabled": False},
    }
    return RunConfig.parse(tree, "bench")


def _epoch(variant: Variant, records: Sequence[Record]) -> tuple[float, float]:
    """Return the wall-clock and processor seconds of an epoch, after a warm-up batch, without loading and encoding."""
    torch.manual_seed(0)
    base, task = load_task(_config(variant))
    learner = Learner(base, task, task.build(base, 0))
    examples = task.encode(records)
    train = _with_trainer if variant.trainer else _with_ours
    with tempfile.TemporaryDirectory() as scratch:
        run = train(variant, learner, scratch)
        run(examples[:BATCH])
        start, spent = time.perf_counter(), time.process_time()
        run(examples)
        return time.perf_counter() - start, time.process_time() - spent


def _with_ours(variant: Variant, learner: Learner, _scratch: str) -> Callable[[Sequence[Example]], None]:
    optimizer = optimizer_of(learner.model, _config(variant).training)

    def run(examples: Sequence[Example]) -> None:
        learner.model.train()
        with make_private(learner.model, optimizer, None, float(BATCH)) as (model, step):
            for start in range(0, len(examples), BATCH):
                chosen = range(start, min(start + BATCH, len(examples)))
                for _, tensors in learner.batches(examples, chosen, 4096):
                    torch.autograd.backward(learner.task.losses(model, tensors).sum())
                    step.accumulate()
                step.finish()

    return run


def _with_trainer(variant: Variant, learner: Learner, scratch: str) -> Callable[[Sequence[Example]], None]:
    options = TrainingArguments(
        output_dir=scratch,
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        learning_rate=1e-3,
        bf16=variant.mixed,
        use_cpu=learner.base.device.type == "cpu",
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        logging_strategy="no",
    )
    pad = learner.base.tokenizer.pad_token_id or 0
    learner.base.network.set_attn_implementation("sdpa")  # transformers' default

    def run(examples: Sequence[Example]) -> None:
        rows: Any = list(examples)
        InOrder(learner.model, options, train_dataset=rows, data_collator=lambda some: _collate(some, pad)).train()

    return run


def _collate(examples: Sequence[Example], pad: int) -> dict[str, torch.Tensor]:
    """Pad to the longest example and exclude the prompt from the loss, as the Trainer's examples do."""
    width = max(len(example) for example in examples)
    ids = torch.full((len(examples), width), pad)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for row, example in enumerate(examples):
        tokens, answers = torch.from_numpy(example.ids), torch.as_tensor(example.target)
        ids[row, : len(example)], mask[row, : len(example)] = tokens, 1
        labels[row, : len(example)] = torch.where(answers, tokens, IGNORED)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


if __name__ == "__main__":
    main()
