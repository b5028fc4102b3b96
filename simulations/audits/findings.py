"""Keep what an audit found in the run's folder, where the report reads it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = "audit"  # inside the run's folder


def keep(folder: Path, name: str, found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write what an audit found as ``audit/NAME.json`` in a run's folder, and return it.

    Parameters
    ----------
    folder
        The run's folder.
    name
        Name of the audit.
    found
        Plain values.
    """
    path = folder / FOLDER / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found
