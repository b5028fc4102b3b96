"""Make views of scrubbed records for training: noised, paraphrased, and with gendered words or names exchanged.

A view depends on the record's own text, the run's seed and the occasion (the number of the step), never on other records.
So adding a record changes no other record's views, and noise, swaps and paraphrases cost no privacy.
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

        Each noised view starts from the next paraphrase of the record, or from the record itself if that paraphrase was
        dropped or there is none. Both sides of a swap are views, so that the mean over the views favours neither.
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
