"""Keep what an audit found in the run's folder, where the report and the card read it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = "audit"  # inside the run's folder
NAMES = ("mechanism", "one_run", "adapter", "attack")


def write_findings(folder: Path, name: str, found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write what an audit found as ``audit/NAME.json`` in a run's folder, and return it.

    Parameters
    ----------
    folder
        The run's folder.
    name
        Name of the audit, one of ``NAMES``.
    found
        Plain values, with the digest of the config that was audited.
    """
    path = folder / FOLDER / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found


def read_findings(folder: Path) -> dict[str, Any]:
    """Return what audits of a run have found so far, by name; an unreadable file counts as missing."""
    found = {}
    for name in NAMES:
        try:
            read = json.loads((folder / FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(read, dict):
            found[name] = read
    return found
