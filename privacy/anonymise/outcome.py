"""What scrubbing gives: clean records, records held back and why, counts; light to import, no text in a ``repr``."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from privacy.leakage.recall import Recall, merge_recalls
from shared.records.types import Record


class Reason(StrEnum):
    """Why a record was held back; a closed list, so that a count of reasons can be printed."""

    NOT_TEXT = "not_text"
    EMPTY = "empty"
    TOO_LONG = "too_long"
    LONE_SURROGATE = "lone_surrogate"
    UNSTABLE_MARKUP = "unstable_markup"
    NORMALISATION_FAILED = "normalisation_failed"
    DETECTION_FAILED = "detection_failed"
    REPLACEMENT_FAILED = "replacement_failed"
    RESIDUAL_FOUND = "residual_found"
    TAGS_LOST = "tags_lost"


class UnfitText(Exception):
    """A text that must not go through; it carries the reason and never the text."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True)
class Quarantined:
    """A record held back: its 1-based place in its file, the reason, and the class of the exception, if any."""

    position: int
    reason: Reason
    error: str = ""


@dataclass(frozen=True)
class Scrubbed:
    """The result for some records.

    ``records`` are in input order, ``quarantined`` too. ``entities`` counts replaced findings by type, over the records
    that passed. ``recall`` counts the true spans found, by true label, where the truth was given; ``unmeasured`` counts
    true spans whose place in the normalised text is not known.
    """

    records: tuple[Record, ...] = field(repr=False, default=())
    quarantined: tuple[Quarantined, ...] = ()
    entities: Mapping[str, int] = field(default_factory=dict)
    recall: Mapping[str, Recall] = field(default_factory=dict)
    unmeasured: int = 0


def merge_scrubbed(parts: Iterable[Scrubbed]) -> Scrubbed:
    """Join the results of consecutive parts into one, in order."""
    parts = tuple(parts)
    entities = sum((Counter(part.entities) for part in parts), Counter[str]())
    return Scrubbed(
        records=tuple(record for part in parts for record in part.records),
        quarantined=tuple(held for part in parts for held in part.quarantined),
        entities=dict(sorted(entities.items())),
        recall=merge_recalls(part.recall for part in parts),
        unmeasured=sum(part.unmeasured for part in parts),
    )
