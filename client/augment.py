"""Noised views of scrubbed records, for training.

What a view looks like follows from the record's own text, the run's seed and the occasion, never from the record's place
among others. So adding a record changes no other record's views, and noise in text costs no privacy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.datastage import AugmentationSection
from shared.perturbation import noised
from shared.record import Record
from shared.tasks.base import Example, Task


@dataclass(frozen=True)
class Augmenter:
    """Views of a site's records, encoded; ``views`` fits ``client.units.Viewer``."""

    records: Sequence[Record] = field(repr=False)
    task: Task
    section: AugmentationSection
    seed: int

    def views(self, row: int, occasion: int) -> list[Example]:
        """The record itself and K - 1 noised views, drawn anew on each occasion."""
        record, section = self.records[row], self.section
        others = [
            noised(record, section.noises, section.rate, (self.seed, occasion, view)) for view in range(1, section.views)
        ]
        return self.task.encode([record, *others])
