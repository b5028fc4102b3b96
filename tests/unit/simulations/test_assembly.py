from fixture_types import LearnerOf, RecordsOf

from shared.config.run import RunConfig
from simulations.assembly import evaluator_of


def test_a_declared_group_stays_with_its_record_of_its_owner(
    classify: RunConfig, learner_of: LearnerOf, records_of: RecordsOf
) -> None:
    records = records_of(classify, 4)  # positions 1 to 4
    owned = [(owner, record) for owner, record in zip(("north", "south", "north", "south"), records, strict=True)]
    groups = {"north": {1: "old", 2: "of another site"}, "south": {2: "young", 3: "of another site"}}
    found = evaluator_of(classify, learner_of(classify), owned, groups)
    assert list(found.groups) == ["old", "young", None, None]
    assert list(found.records) == records
    assert list(evaluator_of(classify, learner_of(classify), owned).groups) == [None] * 4
