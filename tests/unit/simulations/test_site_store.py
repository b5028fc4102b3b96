"""The records of a site on the disk of a simulation: what comes back, and what is never written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.data_stage.site_data import SiteData
from client.units import units_of
from privacy.anonymise.scrubbed import Scrubbed
from privacy.fingerprint import Dataset
from shared.config.data import SiteSection
from shared.errors import RunError
from shared.records.types import RawRecord, Record, Span, origin
from shared.wire.chain_head import ChainHead
from simulations.site_store import SiteStore

SITE = SiteSection(id="north", declared_size=3)
HEAD = ChainHead(2, "a" * 64)


@given(texts=st.lists(st.text(), min_size=1, max_size=5), persons=st.lists(st.sampled_from("abc"), min_size=5, max_size=5))
def test_what_is_put_into_the_store_comes_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], persons: str
) -> None:
    records = tuple(
        Record({"text": text}, "label", number, "group", (Span("NAME", 0, 1),)) for number, text in enumerate(texts)
    )
    raw = [RawRecord({"text": text or "x"}, origin=origin([text])) for text in texts]
    data = SiteData(SITE, raw, Scrubbed(records), persons=persons[: len(texts)], wordings={texts[0]: ["other", None]})
    dataset, store = Dataset.of(raw, b"key"), SiteStore(tmp_path_factory.mktemp("store"))
    store.put(data, dataset, HEAD)
    found = store.get(SITE)
    assert found.data.training.records == records
    assert found.data.wordings == data.wordings
    assert found.dataset.to_bytes() == dataset.to_bytes()
    assert [tuple(unit) for unit in found.dataset.units] == list(dataset.units)
    assert units_of(found.data.persons) == units_of(data.persons)
    assert found.ledger == HEAD


def test_neither_raw_text_nor_a_persons_id_is_written(tmp_path: Path) -> None:
    raw = [RawRecord({"text": "Ann Lee called"}, origin=origin(["Ann Lee called"]), person="ann-lee")]
    data = SiteData(SITE, raw, Scrubbed((Record({"text": "<NAME> called"}),)), persons=["ann-lee"])
    SiteStore(tmp_path).put(data, Dataset.of(raw, b"key"), HEAD)
    [written] = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert "<NAME> called" in written
    assert "ann" not in written.lower()


def test_a_process_that_does_not_see_the_folder_says_so_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"records\.json: cannot be read \(FileNotFoundError\).*that all machines share$"):
        SiteStore(tmp_path / "elsewhere").get(SITE)
