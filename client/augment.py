"""Views of scrubbed records, for training: noised, and as they would read of somebody else.

What a view looks like follows from the record's own text, the run's seed and the occasion, never from the record's place
among others. So adding a record changes no other record's views, and neither noise in text nor a swap costs privacy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.counterfactual import counterparts
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
        """The record itself, its counterparts, and K - 1 noised views of each, drawn anew on each occasion.

        Every side of a swap has as many views as the other, so that the mean over them prefers none.
        """
        section, views = self.section, list[Record]()
        for side in counterparts(self.records[row], section.swaps):
            draws = [(self.seed, occasion, view) for view in range(1, section.views)]
            views += [side, *(noised(side, section.noises, section.rate, draw) for draw in draws)]
        return self.task.encode(views)
