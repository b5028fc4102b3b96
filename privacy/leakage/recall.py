"""Count how much of the known personal data was found, by label and with an interval."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from shared.metrics.bootstrap import Interval, wilson

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Recall:
    """Number of items found out of ``total``; a true span is found if all its letters and digits are covered."""

    found: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.found <= self.total:
            raise ValueError(f"recall: found = {self.found} must be from 0 to total = {self.total}")

    def __add__(self, other: "Recall") -> "Recall":
        return Recall(self.found + other.found, self.total + other.total)

    def interval(self) -> Interval:
        """Return the share found with its 95 % interval (Wilson 1927, JASA 22:209); 0, and 0 to 1, if ``total`` is 0."""
        return wilson(self.found, self.total, CONFIDENCE)

    def row(self) -> dict[str, float]:
        """Return the counts and the share found with its interval, as plain numbers."""
        return {"found": self.found, "total": self.total, **asdict(self.interval())}


def merge_recalls(parts: Iterable[Mapping[str, Recall]]) -> dict[str, Recall]:
    """Add up recalls by label.

    Parameters
    ----------
    parts
        Recalls by label of several chunks or sites.

    Returns
    -------
    dict of str to Recall
        In alphabetical order of the labels.
    """
    total: dict[str, Recall] = {}
    for part in parts:
        for label, recall in part.items():
            total[label] = total.get(label, Recall(0, 0)) + recall
    return dict(sorted(total.items()))


def overall(recalls: Mapping[str, Recall]) -> Recall:
    """Return the recall over all labels."""
    return sum(recalls.values(), Recall(0, 0))
