"""Build a site's training set: encode its records, group them into privacy units, and add views and label weights."""

from collections.abc import Mapping, Sequence

from client.data_stage.augmentation.views import Augmenter
from client.data_stage.balance import resampled
from client.units import TrainingSet, units_of
from shared.config.adversary import NO_GROUP
from shared.config.run import RunConfig
from shared.errors import DataError
from shared.records.types import Record
from shared.tasks.base import Learner
from shared.tasks.micro_batches import Unit
from shared.text.perturbation import Wordings


def training_set(
    site_id: str,
    config: RunConfig,
    records: Sequence[Record],
    learner: Learner,
    persons: Sequence[str],
    wordings: Mapping[str, Wordings],
) -> TrainingSet:
    """Encode records and group them into privacy units, with views and label balancing as the config asks.

    Parameters
    ----------
    site_id
        Name of the site, for messages.
    config
        Configuration of the run.
    records
        Anonymised training records.
    learner
        Task and model.
    persons
        Id of the person of each record; needed only if the unit is the person.
    wordings
        Paraphrases by text, for views.

    Raises
    ------
    DataError
        The unit is the person but a record's person is unknown, or no record has a group for the adversary.
    """
    examples = learner.task.encode(records)
    if config.adversary is not None and all(example.group == NO_GROUP for example in examples):
        raise DataError(
            f"site {site_id}: no record has one of adversary.groups in column '{config.adversary.column}', so there is "
            "nothing to hide; correct the column or the groups, or remove adversary"
        )
    viewer = Augmenter(records, learner.task, config.augmentation, config.run.seed, wordings)
    data = TrainingSet(examples, _units(site_id, config, records, persons), viewer if config.augmentation.on else None)
    return resampled(data, config, site_id)


def _units(site_id: str, config: RunConfig, records: Sequence[Record], persons: Sequence[str]) -> list[Unit]:
    if config.privacy.unit != "person":
        return [(row,) for row in range(len(records))]
    if len(persons) != len(records):
        raise DataError(f"site {site_id}: the person of some records is unknown; check data.columns.person")
    return units_of(persons)
