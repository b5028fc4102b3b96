"""What every test of a whole simulation needs: records that nobody scrubs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
import torch

from client.data_stage.site_data import SiteData
from privacy.anonymise.scrubbed import Scrubbed
from shared.config.run import RunConfig
from shared.records.types import RawRecord, Record
from simulations.data.partition import split_held_out


@pytest.fixture
def plainly() -> Callable[..., list[SiteData]]:
    """In the place of ``scrub_sites``: these records hold nothing personal, and the anonymiser has tests of its own."""

    def scrubbed(part: Sequence[RawRecord]) -> Scrubbed:
        return Scrubbed(tuple(Record(record.fields, record.label, record.position) for record in part))

    def divided(config: RunConfig, raw: Mapping[str, Sequence[RawRecord]], *_: Any) -> list[SiteData]:
        parts = [(site, split_held_out(raw[site.id], 0.4, 0)) for site in config.data.sites]
        return [SiteData(site, training, scrubbed(training), scrubbed(held_out)) for site, (training, held_out) in parts]

    return divided


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute with one thread, as each worker of a fleet does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
