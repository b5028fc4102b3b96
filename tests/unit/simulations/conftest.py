"""What every test of a whole simulation needs: records that nobody scrubs."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import ConfigOf, TinyRun

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


@pytest.fixture(scope="session")
def tiny_run(config_of: ConfigOf, tiny_bert: Path) -> TinyRun:
    """``tiny_run(folder, changes)``: a run of one step with the tiny BERT, and 40 messages at each of two sites."""

    def build(folder: Path, changes: Mapping[str, Any]) -> RunConfig:
        for site in ("north", "south"):
            rows = [{"text": f"the day {n} is fine", "label": "yes" if n % 2 else "no"} for n in range(40)]
            (folder / f"{site}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        run = {
            "run": {"name": "t", "output": str(folder / "runs")},
            "model": {"name": str(tiny_bert), "dtype": "float32", "device": "cpu", "max_length": 24},
            "adapter.rank": 2,
            "training": {"rounds": 1, "steps": 1, "sampling_rate": 0.5},
            "data.root": str(folder),
            "data.sites.1.declared_size": 100,
            "anonymise.workers": 1,
            "cohort.min_records": 4,
            "evaluation.bootstrap": 100,
        }
        return config_of({**run, **changes})

    return build


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute with one thread, as each worker of a fleet does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
