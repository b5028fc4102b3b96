"""Make views of scrubbed records for training: noised, reworded, and as they would read of another person.

A view depends on the record's own text, the run's seed and the occasion, never on the record's place among others. So
adding a record changes no other record's views, and noise, swaps and paraphrases cost no privacy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.config.data_stage import AugmentationSection
from shared.records.types import Record
from shared.tasks.base import Task
from shared.tasks.examples import Example
from shared.text.counterfactual import counterparts
from shared.text.perturbation import Wordings, input_text, noised, reworded


@dataclass(frozen=True)
class Augmenter:
    """Makes encoded views of a site's records; fits ``client.units.Viewer``.

    ``wordings`` holds the paraphrases of each text, None for a dropped one.
    """

    records: Sequence[Record] = field(repr=False)
    task: Task
    section: AugmentationSection
    seed: int
    wordings: Mapping[str, Wordings] = field(repr=False, default_factory=dict)

    def views(self, row: int, occasion: int) -> list[Example]:
        """Return the record itself, then K - 1 noised views, each with its counterparts, drawn anew on each occasion.

        A noised view is of the record's paraphrases in turn; in the turn of a dropped one, and where there are none, it is
        of the record itself. Each text gives all sides of a swap, so that the mean over them prefers none.
        """
        section, record = self.section, self.records[row]
        wordings = self.wordings.get(input_text(record)) or (None,)
        views = counterparts(record, section.swaps)
        for view in range(1, section.views):
            draw = (self.seed, occasion, view)
            wording = wordings[(occasion * (section.views - 1) + view - 1) % len(wordings)]
            worded = record if wording is None else reworded(record, wording)
            views += [noised(side, section.noises, section.rate, draw) for side in counterparts(worded, section.swaps)]
        return self.task.encode(views)
