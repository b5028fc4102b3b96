"""Score the ratings of a blind sheet with its key: how often raters prefer the tuned model, and how far they agree."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from server.report.files import read_report, write
from server.review.ratings import read_all
from server.review.sheet import Key, key_of, read_key, read_sheet
from shared.metrics.bootstrap import mean

RESAMPLES, CONFIDENCE, SEED = 10_000, 0.95, 0
Verdicts = Mapping[str, Mapping[str, str]]


def score(folder: Path, key_file: Path | None) -> dict[str, Any]:
    """Compute the win rate of the tuned model with a bootstrap interval over items, and Krippendorff's alpha of the raters.

    A tie counts as half a win. An item counts once, with the mean over its raters. The interval covers the choice of items,
    not the choice of raters.

    Parameters
    ----------
    folder
        The folder of the sheet and the ratings.
    key_file
        The sheet's key; None takes the one beside the folder.

    Returns
    -------
    dict[str, Any]
        Counts of items and verdicts, ``win_rate`` with its interval, and ``alpha`` (None where it is not defined).

    Raises
    ------
    RunError
        The sheet, the key or the ratings are missing or malformed.
    """
    items = read_sheet(folder)
    key = read_key(key_file or key_of(folder), folder)
    verdicts = unblinded(read_all(folder, items), key)
    rated = [item.id for item in items if any(item.id in given for given in verdicts.values())]
    points = np.array([_points(verdicts, item) for item in rated])
    return {
        "items": len(items),
        "rated": len(rated),
        "identical": key.identical,
        "raters": [{"rater": rater, **_counts(given)} for rater, given in verdicts.items()],
        "win_rate": asdict(mean("win_rate", points).interval(RESAMPLES, CONFIDENCE, SEED)),
        "confidence": CONFIDENCE,
        "alpha": agreement(verdicts, rated),
    }


def unblinded(ratings: Verdicts, key: Key) -> Verdicts:
    """Replace each choice of a side by the model that gave that answer: ``tuned``, ``base`` or ``tie``."""
    names = {True: "tuned", False: "base"}
    return {
        rater: {item: "tie" if choice == "tie" else names[choice == key.tuned[item]] for item, choice in given.items()}
        for rater, given in ratings.items()
    }


def agreement(verdicts: Verdicts, rated: Sequence[str]) -> float | None:
    """Compute Krippendorff's alpha of nominal verdicts (Krippendorff 2011); raters may skip items.

    Returns None where alpha is not defined: no item has two raters, or all verdicts are the same.
    """
    from nltk.metrics.agreement import AnnotationTask

    shared = [item for item in rated if sum(item in given for given in verdicts.values()) > 1]
    triples = [(rater, item, given[item]) for rater, given in verdicts.items() for item in shared if item in given]
    if len({verdict for _, _, verdict in triples}) < 2:
        return None
    return float(AnnotationTask(data=triples).alpha())


def add_to_report(run: Path, found: Mapping[str, Any]) -> None:
    """Add the scored review to the report of a finished run.

    Parameters
    ----------
    run
        The run's folder.
    found
        The result of ``score``.

    Raises
    ------
    RunError
        The folder does not hold a report.
    """
    write(read_report(run) | {"review": dict(found)}, run, html=True)


def _points(verdicts: Verdicts, item: str) -> float:
    worth = {"tuned": 1.0, "tie": 0.5, "base": 0.0}
    return float(np.mean([worth[given[item]] for given in verdicts.values() if item in given]))


def _counts(given: Mapping[str, str]) -> dict[str, int]:
    verdicts = list(given.values())
    return {name: verdicts.count(name) for name in ("tuned", "tie", "base")}
