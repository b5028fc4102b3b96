"""Compare per-record gradients with single records, and check the noise, on the device that `bench.gpu` tries."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.architectures import WORDS, Architecture, config_of
from bench.meter import SIZES, plan_of
from bench.step import PLAN
from client.exactness import longest_and_shortest, loss_of
from client.trainer import accumulate, unsplit
from client.units import Rows
from client.workers import Workers
from privacy.audit.meter import meter
from privacy.dp.engine import PrivateSum, sharing
from privacy.dp.noise import rounded_gaussian
from privacy.dp.rounding import PER_ROOT, base_dtype
from privacy.dp.selfcheck import TOLERANCE, furthest_as_trained, largest_difference, limit_as_trained, rounding_moved
from shared.config.run import RunConfig
from shared.errors import HushtuneError
from shared.ops.extras import is_installed
from shared.records.types import Record
from shared.tasks import load_learner
from shared.tasks.base import Learner
from shared.tasks.examples import Example

RECORDS = 8  # records that are compared with single records
DRAWS = 1 << 24  # numbers of noise
SPREAD = 6.0  # standard errors that a statistic of the noise may be off; an honest device fails one such check in 5e8
CLAIM = 1.29  # noise multiplier that the meter is given
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
SMALL = {"hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8, "intermediate_size": 1024}
PADDED, PACKED = "padded", "end to end"


@dataclass(frozen=True)
class Row:
    """One line of the table: the check, the measured value, and whether it is within its limit (None: there is no limit)."""

    part: str
    name: str
    seen: str
    limit: str = ""
    passed: bool | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)


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


def ways() -> tuple[Way, ...]:
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
    """Compare per-record gradients with those of single records, for one way of computing a batch."""
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
    with synchronised(place) as spent:
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
        crew.ensure_running(learner, PLAN, examples)
        for split in (unsplit, crew.sharing):
            with sharing(learner.model, PLAN) as (model, step):
                assert isinstance(step, PrivateSum)  # noqa: S101  PLAN is a plan
                with split(step, rows, None) as own:
                    accumulate(learner, model, step, own, None, config.training)
                totals.append(step.total())
    finally:
        crew.close()
    apart = float((totals[1] - totals[0]).norm() / totals[0].norm())
    return [Row(part, name, f"{apart:.1e}", "1e-06", apart < 1e-6, {"apart": apart})]


@contextmanager
def synchronised(place: torch.device) -> Iterator[list[float]]:
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
