"""Write the adapter as a folder for the hub: PEFT's files, and a model card with the results in the hub's own metadata."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from server.report.markdown import model_page
from shared.config.task import DECLARED
from shared.errors import ModelError
from shared.models.catalogue import HUB_ID
from shared.tasks.base import Learner

CONFIG = "adapter_config.json"
LOADED = {
    "peft": "## Loading\n\n```python\nfrom peft import AutoPeftModel\n\n"
    'model = AutoPeftModel.from_pretrained("FOLDER")\n```\n',
    "gguf": "## Loading\n\n`llama-cli -m model.gguf`, or any other program that reads GGUF.\n",
    "transformers": "## Loading\n\nThis folder holds the base model with the adapter merged into its weights. Plain\n"
    "transformers loads the folder; nothing of hushtune is needed.\n",
}


def write_hub_folder(learner: Learner, card: Mapping[str, Any], adapter: Path, folder: Path) -> None:
    """Write the adapter's files with a config from which ``AutoPeftModel`` finds the base model by itself.

    Parameters
    ----------
    learner
        The tuned model.
    card
        The run's privacy card.
    adapter
        The adapter folder of the run.
    folder
        An empty folder.

    Raises
    ------
    ModelError
        The run trained no adapter.
    """
    if not (adapter / CONFIG).is_file():
        raise ModelError("--to hub-folder: this run trained a head alone (adapter.rank = 0), so there is no adapter")
    for path in adapter.iterdir():
        if path.suffix == ".safetensors":
            shutil.copyfile(path, folder / path.name)
    network, files = learner.base.network, learner.base.files
    config = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
    name, _, revision = files.reference.partition("@") if HUB_ID.fullmatch(files.reference) else (str(files.folder), "", "")
    plain: Any = type(network.base_model if learner.base.kind == "encoder" else network)
    auto = {"base_model_class": plain.__name__, "parent_library": plain.__module__}
    config |= {"base_model_name_or_path": name, "revision": revision or None, "task_type": None, "auto_mapping": auto}
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    learner.base.tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(page(card, "peft"), encoding="utf-8")


def page(card: Mapping[str, Any], library: str) -> str:
    """Return the run's model card with its results in the hub's metadata, and how the folder is loaded.

    Parameters
    ----------
    card
        The run's privacy card.
    library
        What loads the folder: ``peft``, ``transformers`` or ``gguf``.
    """
    text = model_page(card)
    head, body = text.removeprefix("---\n").split("\n---\n", 1)
    results = _results(card)
    metadata = ModelCardData(model_name=str(card["run"]["name"]), eval_results=results).to_yaml() if results else ""
    lines = [line for line in head.splitlines() if not line.startswith("library_name:")]
    loading = body.index("## Loading") if "## Loading" in body else len(body)
    after = body.find("\n## ", loading + 1)
    rest = body[after:] if after > 0 else "\n"
    top = "\n".join([*lines, f"library_name: {library}", metadata.strip()]).strip()
    return f"---\n{top}\n---\n{body[:loading]}{LOADED[library]}{rest}"


def _results(card: Mapping[str, Any]) -> list[EvalResult]:
    """Return each metric of the held-out records as a result of the hub."""
    training = card["training"]
    return [
        EvalResult(
            task_type=str(DECLARED[training["task"]].pipeline_tag),
            dataset_type="private",
            dataset_name="held-out records of the run",
            metric_type=name,
            metric_value=round(float(interval["value"]), 4),
            metric_name=f"{name} ({card['utility']['confidence']:.0%}: {interval['low']:.4f} to {interval['high']:.4f})",
        )
        for name, interval in card["utility"]["metrics"].items()
    ]
