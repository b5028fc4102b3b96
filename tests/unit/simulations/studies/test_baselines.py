"""The baselines of a simulation, where its records are degenerate."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from client.site import Site
from server.evaluation import Evaluator
from shared.config.run import RunConfig
from shared.records.types import Record
from shared.tasks.base import Learner
from simulations.studies.baselines import baselines_of


@pytest.mark.parametrize("held_out", [1, 6])
@pytest.mark.parametrize("labels", [["no"], ["yes"], ["no", "yes"]])
def test_one_label_at_all_sites_leaves_out_the_baseline_that_needs_two(
    classify: RunConfig,
    learner_of: Callable[[RunConfig], Learner],
    records_of: Callable[..., list[Record]],
    labels: Sequence[str],
    held_out: int,
) -> None:
    learner = learner_of(classify)
    records = [replace(record, label=labels[i % len(labels)]) for i, record in enumerate(records_of(classify, 12))]
    test = records[:held_out]
    evaluator = Evaluator.of(learner, test, ["north"] * len(test), classify, [None] * len(test))
    site = SimpleNamespace(site_id="north", encoded=(learner.task.encode(records), None), plan=None)
    found = baselines_of(evaluator, [cast(Site, site)])
    assert len(found) == len(labels)
    assert all(0 <= row.metrics["accuracy"].value <= 1 for row in found)
