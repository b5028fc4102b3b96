"""Load each export with its own consumer in a new environment: python -m bench.consumers [--environment FOLDER].

For each form a small run is simulated and exported. The new environment has transformers, peft and gguf in the versions
of this one, and no hushtune. The values that these packages compute there are
compared with those of the run's adapter here.
"""

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.architectures import ARCHITECTURES, WORDS
from bench.table import parser_of, print_rows
from server.export.formats import Format, export
from server.report.publication import ADAPTER
from shared.config.run import RunConfig
from shared.models.catalogue import CATALOGUE
from shared.models.library import quiet
from shared.tasks.adapter_files import load_adapter
from simulations.run import simulate

PACKAGES = ("torch", "transformers", "peft", "gguf")
INSIDE = Path(__file__).with_name("consumer.py")
LABELS = ("no", "yes")
RECORDS, TEXTS = 40, 3


@dataclass(frozen=True)
class Form:
    """A form of export, the base model of its run, what loads it, and how far values may be from those here."""

    to: Format
    base: str
    loaded_by: str
    tolerance: float = 1e-4

    @property
    def task(self) -> str:
        """Return the task of the run."""
        return "classification" if self.to == "sequence-classifier" else "instruction"


FORMS = (
    Form("merged", "llama", "AutoModelForCausalLM"),
    Form("sequence-classifier", "bert", "pipeline"),
    Form("hub-folder", "qwen3", "AutoPeftModelForCausalLM"),
    Form("gguf", "smollm2-135m", "gguf reader of transformers", 1e-2),  # weights in float16
)


def environment(folder: Path) -> Path:
    """Make an environment with the consumers alone, unless it is there, and return its Python."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        pinned = [f"{name}=={version(name).partition('+')[0]}" for name in PACKAGES]
        subprocess.run([python, "-m", "pip", "install", "-qq", *pinned], check=True)  # noqa: S603  names from above
    return python


def run_of(form: Form, folder: Path) -> Path:
    """Simulate a small run and return its folder."""
    base = form.base
    if base not in CATALOGUE:
        base = str(folder / "base")
        next(each for each in ARCHITECTURES if (each.name, each.task) == (form.base, form.task)).save(Path(base))
    drawn = np.random.default_rng(5)
    for site in ("north", "south"):
        texts = [" ".join(drawn.choice(WORDS, 8)) for _ in range(RECORDS)]
        rows = [_row(form, text, LABELS[number % 2]) for number, text in enumerate(texts)]
        (folder / f"{site}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    sites = [{"id": site, "file": f"{site}.jsonl", "declared_size": RECORDS} for site in ("north", "south")]
    tree = {
        "run": {"name": "run", "output": str(folder)},
        "model": {"name": base, "dtype": "float32", "device": "cpu", "max_length": 64},
        "adapter": {"rank": 2},
        "task": {"name": form.task, **({"labels": LABELS} if form.task == "classification" else {})},
        "data": {"root": str(folder), "sites": sites},
        "cohort": {"min_records": 10},
        "training": {"rounds": 1, "steps": 2, "sampling_rate": 0.5, "learning_rate": 0.2},
        "privacy": {"epsilon": 8.0},
        "anonymise": {"level": "fast", "workers": 1},
        "evaluation": {"bootstrap": 100, "max_records": 10},
    }
    return simulate(RunConfig.model_validate(tree)).folder


def _row(form: Form, text: str, label: str) -> Mapping[str, str]:
    if form.task == "classification":
        return {"text": text, "label": label}
    return {"instruction": text, "response": " ".join(text.split()[:3])}


def values_here(form: Form, run: Path, texts: Sequence[str]) -> list[list[float]]:
    """Return what the run's adapter computes for each text; see ``bench.consumer``."""
    _, learner = load_adapter(run / ADAPTER, exact=True)
    model: Any = learner.model.eval()
    found = []
    with torch.no_grad():
        for text in texts:
            plain = form.task == "instruction"
            ids = torch.tensor([learner.base.tokenizer(text, add_special_tokens=not plain)["input_ids"]])
            scores = model(input_ids=ids).logits[0, -1] if plain else model(ids, torch.ones_like(ids))[0].softmax(0)
            found.append(scores.tolist())
    return found


def tried(form: Form, python: Path, folder: Path) -> dict[str, Any]:
    """Return the row of a form."""
    run = run_of(form, folder)
    with quiet():
        export(run, form.to, folder / "out")
    texts = [" ".join(WORDS[start : start + 6]) for start in range(TEXTS)]
    command = [python, "-I", INSIDE, form.to, folder / "out", *texts]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)  # noqa: S603  our own file
    there, here = (np.asarray(values) for values in (json.loads(said.stdout), values_here(form, run, texts)))
    difference = float(np.abs(there - here).max() / np.abs(here).max())
    same = bool((there.argmax(axis=1) == here.argmax(axis=1)).all()) and difference < form.tolerance
    return {
        "form": form.to,
        "base model": form.base,
        "loaded by": form.loaded_by,
        "relative difference": f"{difference:.0e}",
        "same answers": "yes" if same else "NO",
    }


def main() -> int:
    """Print the table; return 1 if an answer differs."""
    parser = parser_of(__doc__, as_json=True)
    parser.add_argument("--environment", type=Path, help="folder of the environment; a temporary one without it")
    parser.add_argument("--only", nargs="*", default=[], help="forms to try; all without it")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        python = environment((arguments.environment or Path(scratch) / "environment").resolve())
        for form in FORMS:
            if not arguments.only or form.to in arguments.only:
                folder = Path(scratch) / form.to
                folder.mkdir()
                rows.append(tried(form, python, folder))
    print_rows(rows, arguments.json)
    return 0 if all(row["same answers"] == "yes" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
