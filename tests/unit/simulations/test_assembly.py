from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixture_types import Change, LearnerOf, RecordsOf

from client.data_stage.site_data import SiteData
from client.site import Site
from privacy.anonymise.scrubbed import Scrubbed
from shared.config.run import RunConfig
from shared.records.types import Record
from shared.tasks.base import Learner
from shared.tasks.examples import Example
from simulations import assembly
from simulations.assembly import assemble, evaluator_of
from simulations.planning import Plans

SITES = [{"id": name, "file": f"{name}.jsonl", "declared_size": 100} for name in ("north", "south")]


def held_out(data: Sequence[SiteData]) -> list[tuple[str, Record]]:
    """Return records to measure on, which the sites' own records stand in for."""
    return [("north", record) for record in data[0].training.records]


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


def test_one_check_of_gradients_covers_the_longest_and_shortest_records_of_all_sites_of_a_rank(
    classify: RunConfig, change: Change, records_of: RecordsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = change(classify, {"cohort.quorum": 2, "privacy.self_check": 2, "aggregation.method": "partitioned_mean"})
    config = change(config, {"data.sites": [*SITES, {**SITES[0], "id": "west", "rank": 1}]})
    data = [SiteData(site, (), Scrubbed(tuple(records_of(config, 30, seed)))) for seed, site in enumerate(config.data.sites)]
    checked, check = list[list[int]](), assembly.self_check

    def counted(learner: Learner, examples: Sequence[Example], *others: Any) -> Learner:
        checked.append(sorted(len(example) for example in examples))
        return check(learner, examples, *others)

    monkeypatch.setattr(assembly, "self_check", counted)
    ready = assemble(config, Plans.of(config), data, held_out(data), tmp_path)
    lengths = {site.site_id: [len(example) for example in site.encoded[0]] for site in ready.sites}
    assert checked == [sorted([*lengths["north"], *lengths["south"]]), sorted(lengths["west"])]
    assert [site.site_id for site in ready.sites] == ["north", "south", "west"]


@pytest.mark.parametrize("exact", [True, False])
def test_all_sites_pad_their_batches_if_the_check_finds_that_packing_is_not_exact(
    classify: RunConfig, records_of: RecordsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    data = [SiteData(site, (), Scrubbed(tuple(records_of(classify, 30)))) for site in classify.data.sites]
    monkeypatch.setattr(assembly, "self_check", lambda learner, *_: replace(learner, may_pack=exact))
    ready = assemble(classify, Plans.of(classify), data, held_out(data), tmp_path)
    assert [isinstance(site, Site) and site.pads for site in ready.sites] == [not exact] * 2
