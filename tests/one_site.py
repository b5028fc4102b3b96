"""One site of records that need no data stage."""

from collections.abc import Sequence
from typing import Any

from client.data_stage.site_data import SiteData
from client.site import Site
from privacy.anonymise.scrubbed import Scrubbed
from privacy.budget import Budget
from privacy.dp.plan import PrivacyPlan
from shared.config.data import SiteSection
from shared.config.run import RunConfig
from shared.records.types import Record
from shared.tasks.base import Learner


def site_of(
    name: str,
    declared_size: int,
    config: RunConfig,
    records: Sequence[Record],
    learner: Learner,
    plan: PrivacyPlan | None,
    budget: Budget,
    *,
    persons: Sequence[str] = (),
    **more: Any,
) -> Site:
    section = SiteSection(id=name, declared_size=declared_size)
    return Site(config, SiteData(section, (), Scrubbed(tuple(records)), persons=persons), learner, plan, budget, **more)
