"""Export a finished run: merged into the base model, as GGUF, as a classifier with its head, or as a folder for the hub."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from server.export.gguf_file import write_gguf
from server.export.hub_folder import write_hub_folder
from server.export.merged import write_merged
from server.export.sequence_classifier import write_classifier
from server.report.publication import ADAPTER
from server.report.signed import SignedCard
from shared.config.run import RunConfig
from shared.errors import RunError
from shared.models.library import one_sentence
from shared.tasks.adapter_files import load_adapter
from shared.tasks.base import Learner

Format = Literal["merged", "gguf", "sequence-classifier", "hub-folder"]
Write = Callable[[RunConfig, Learner, Mapping[str, Any], Path], None]


def export(run: Path, to: Format, out: Path) -> dict[str, Any]:
    """Write a finished run's model in another form into a new folder; it appears complete or not at all.

    Parameters
    ----------
    run
        The folder of a finished run.
    to
        The form.
    out
        The folder to make.

    Returns
    -------
    dict
        The form, the folder, and the names of its files.

    Raises
    ------
    RunError
        The folder exists, or ``run`` is no finished run.
    ModelError
        The model has no such form.
    """
    if out.exists():
        raise RunError(f"--out {out}: exists already; give the name of a new folder")
    card = SignedCard.load(run).card
    config, learner = load_adapter(run / ADAPTER, exact=True)
    scratch = out.with_name(f"{out.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    learner.model.eval()
    try:
        if to == "hub-folder":
            write_hub_folder(learner, card, run / ADAPTER, scratch)
        else:
            writers: Mapping[str, Write] = {
                "merged": write_merged,
                "gguf": write_gguf,
                "sequence-classifier": write_classifier,
            }
            with one_sentence(f"--to {to}: {config.model.name} cannot be written so", "use --to hub-folder"):
                writers[to](config, learner, card, scratch)
        scratch.rename(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return {"format": to, "folder": str(out), "files": sorted(path.name for path in out.iterdir())}
