"""What the audits of whole runs need: a tiny run without an anonymiser."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WORDS
from fixture_types import Change

from client.data_stage.site_data import SiteData
from privacy.anonymise.scrubbed import Scrubbed
from shared.config.run import RunConfig
from shared.records.types import RawRecord, Record, origin

RECORDS = 100


def site_records(seed: int) -> list[RawRecord]:
    draw = np.random.default_rng(seed)
    texts = [" ".join(draw.choice(WORDS, 6)) for _ in range(RECORDS)]
    labels = ["yes" if text < "d" else "no" for text in texts]
    pairs = enumerate(zip(texts, labels, strict=True), start=1)
    return [RawRecord({"text": text}, label, place, origin=origin([text])) for place, (text, label) in pairs]


class NoAnonymiser:
    """In the place of the anonymiser, which has tests of its own."""

    def __init__(self, *_: Any) -> None: ...

    def scrub(self, records: Sequence[RawRecord]) -> Scrubbed:
        """Return the records as they are."""
        return Scrubbed(tuple(Record(raw.fields, raw.label, raw.position) for raw in records))


@pytest.fixture
def tiny(
    classify: RunConfig,
    change: Change,
    tmp_path: Path,
    plainly: Callable[..., list[SiteData]],
    monkeypatch: pytest.MonkeyPatch,
) -> RunConfig:
    """Return a run of two sites whose audits read generated words and scrub nothing."""

    def read(config: RunConfig, *_: Any) -> Mapping[str, list[RawRecord]]:
        return {site.id: site_records(number) for number, site in enumerate(config.data.sites)}

    for module in ("one_run", "adapter", "poisoning"):
        monkeypatch.setattr(f"simulations.audits.{module}.read_sites", read)
        monkeypatch.setattr(f"simulations.audits.{module}.scrub_sites", plainly)
    monkeypatch.setattr("simulations.audits.adapter.Anonymiser", NoAnonymiser)
    sites = [{"id": name, "file": f"{name}.jsonl", "declared_size": 60} for name in ("north", "south")]
    changes = {"run.output": str(tmp_path), "data.sites": sites, "evaluation.bootstrap": 100}
    return change(classify, {**changes, "privacy.self_check": 1})
