"""Views of scrubbed records, for training: noised, reworded, and as they would read of somebody else.

What a view looks like follows from the record's own text, the run's seed and the occasion, never from the record's place
among others. So adding a record changes no other record's views, and neither noise in text nor a swap costs privacy;
``client.data_stage.augmentation.writer`` says why the same is true of a paraphrase.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.config.data_stage import AugmentationSection
from shared.records.types import Record
from shared.tasks.base import Task
from shared.tasks.examples import Example
from shared.text.counterfactual import counterparts
from shared.text.perturbation import Wordings, asked, noised, reworded


@dataclass(frozen=True)
class Augmenter:
    """Views of a site's records, encoded; ``views`` fits ``client.units.Viewer``.

    ``wordings`` has by text what a model wrote of it, None for one that was dropped.
    """

    records: Sequence[Record] = field(repr=False)
    task: Task
    section: AugmentationSection
    seed: int
    wordings: Mapping[str, Wordings] = field(repr=False, default_factory=dict)

    def views(self, row: int, occasion: int) -> list[Example]:
        """The record itself, then K - 1 noised views, each with its counterparts, drawn anew on each occasion.

        A noised view is of the record's paraphrases in turn, and of the record itself where there is none or it was dropped.
        Of each text all sides of a swap are views, so that the mean over them prefers none.
        """
        section, record = self.section, self.records[row]
        views = counterparts(record, section.swaps)
        for view in range(1, section.views):
            draw = (self.seed, occasion, view)
            worded = self._worded(record, occasion * (section.views - 1) + view - 1)
            sides = counterparts(worded, section.swaps)
            views += [noised(side, section.noises, section.rate, draw) for side in sides]
        return self.task.encode(views)

    def _worded(self, record: Record, turn: int) -> Record:
        """The record in the wording whose turn it is."""
        wordings = self.wordings.get(asked(record), ())
        worded = wordings[turn % len(wordings)] if wordings else None
        return record if worded is None else reworded(record, worded)
