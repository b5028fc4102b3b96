"""Hold the results of scrubbing: clean records, records held back with the reason, and counts; no ``repr`` shows text."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from privacy.detect.unfit import Reason
from privacy.leakage.recall import Recall, merge_recalls
from shared.records.types import Record


@dataclass(frozen=True)
class Quarantined:
    """A record held back: its 1-based place in its file, the reason, and the class of the exception, if any."""

    position: int
    reason: Reason
    error: str = ""


@dataclass(frozen=True)
class Scrubbed:
    """The result for some records.

    Parameters
    ----------
    records
        The clean records, in input order.
    quarantined
        The records held back, in input order.
    entities
        Number of replaced findings by type, over the records that passed.
    recall
        Number of true spans found, by true label, for records whose true spans are given.
    unmeasured
        Number of true spans whose place in the normalised text is unknown.
    """

    records: tuple[Record, ...] = field(repr=False, default=())
    quarantined: tuple[Quarantined, ...] = ()
    entities: Mapping[str, int] = field(default_factory=dict)
    recall: Mapping[str, Recall] = field(default_factory=dict)
    unmeasured: int = 0


def merge_scrubbed(parts: Iterable[Scrubbed]) -> Scrubbed:
    """Join the results of consecutive parts of some records, in order."""
    parts = tuple(parts)
    entities = sum((Counter(part.entities) for part in parts), Counter[str]())
    return Scrubbed(
        records=tuple(record for part in parts for record in part.records),
        quarantined=tuple(held for part in parts for held in part.quarantined),
        entities=dict(sorted(entities.items())),
        recall=merge_recalls(part.recall for part in parts),
        unmeasured=sum(part.unmeasured for part in parts),
    )
