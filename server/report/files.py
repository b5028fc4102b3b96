"""Write report.json and the pages that show it into a run's folder, and read the report of a finished run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server.report.html import render, summary
from server.report.signed import CARD_FILE, SignedCard
from shared.errors import RunError
from shared.ops.disk import commit_file
from shared.ops.findings import read_findings


def write(document: Mapping[str, Any], folder: Path, html: bool) -> None:
    """Write report.json and, if asked, report.html with the folder's privacy card, and summary.html, one page to print.

    Parameters
    ----------
    document
        The content of report.json.
    folder
        The run's folder.
    html
        Whether to write the pages too.

    Raises
    ------
    RunError
        The signature of the folder's privacy card is not valid.
    """
    if html:
        card = _card(folder)
        (folder / "report.html").write_text(render(document, card, read_findings(folder)), encoding="utf-8")
        (folder / "summary.html").write_text(summary(document, card), encoding="utf-8")
    # Written last and atomically, because a server that finds this file treats the run as finished.
    partial = folder / "report.json.partial"
    partial.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    commit_file(partial, folder / "report.json")


def _card(folder: Path) -> Mapping[str, Any] | None:
    """Return the folder's privacy card after checking its signature; None if there is no card."""
    if not (folder / CARD_FILE).is_file():
        return None
    signed = SignedCard.load(folder)
    if not signed.holds:
        raise RunError(
            f"{folder / CARD_FILE}: signature: not valid for this card, so the card is not shown; restore the file"
        )
    return signed.card


def rewrite(folder: Path) -> dict[str, Any]:
    """Read a finished run's report.json, render its pages again and return the report.

    Raises
    ------
    RunError
        The folder does not hold a readable report.json.
    """
    document = read_report(folder)
    write(document, folder, html=True)
    return document


def read_report(folder: Path) -> dict[str, Any]:
    """Read the report.json of a finished run.

    Parameters
    ----------
    folder
        The run's folder.

    Raises
    ------
    RunError
        The folder does not hold a readable report.json.
    """
    try:
        document = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        document = None
    if not isinstance(document, dict):
        raise RunError(f"{folder}: no readable report.json; give the folder of a finished run")
    return document
