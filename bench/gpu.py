"""Try everything that runs differently on a GPU, in one command: make gpu, or python -m bench.gpu.

The command compares per-record gradients with single records for each way of computing a batch, in float32 and in the
dtype that trains; checks the noise that the device draws; splits a step over two processes; and measures the time and peak
memory of a step beside plain PEFT LoRA and Opacus, on a random model of 1 to 8 billion parameters, as many as fit. The model
is made on the spot. The exit status is 1 if a check failed. ``--device cpu --tiny`` takes the same path on a tiny model; its
times say nothing about a GPU. Rows: runs/bench/gpu.json.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from bench.gpu_checks import DRAWS, Row, exactness, noise, processes, small_config, ways
from bench.gpu_steps import SHAPES, costs, large, large_shape
from bench.table import parser_of
from shared.errors import HushtuneError
from shared.models.load import choose_device

OUTPUT = Path("runs/bench/gpu.json")


def main() -> None:
    """Try all parts, print the table and write the rows."""
    parser = parser_of(__doc__)
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
            for way in ways():
                rows += _shown(partial(exactness, config, way))
        rows += _shown(lambda: noise(place, DRAWS >> 8 if tiny else DRAWS))
        instruction = small_config("instruction", Path(scratch) / "instruction", place, tiny=tiny, saved=True)
        rows += _shown(lambda: processes(instruction))
        learner = large(instruction, large_shape(place, tiny=tiny, billions=billions))
    rows += _shown(lambda: costs(learner, instruction.training, tiny=tiny))
    return rows


def _shown(part: Callable[[], list[Row]]) -> list[Row]:
    """Return the rows of a part, and show each in one line as it comes, because the whole takes minutes."""
    rows = part()
    for row in rows:
        sys.stderr.write(f"{row.part}: {row.name}: {row.seen}\n")
    return rows


def _device_name(device: str) -> str:
    place = choose_device(device)
    return torch.cuda.get_device_name(place) if place.type == "cuda" else place.type


if __name__ == "__main__":
    main()
