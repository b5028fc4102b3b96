from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from client.admission import SAMPLE, admit
from client.data_stage.cache import Cache
from privacy.leakage.assessment import Assessment, evenly
from privacy.leakage.gate import GateFailed
from privacy.leakage.recall import Recall
from privacy.leakage.score import LeakScore
from shared.config.anonymise import AnonymiseSection, GateSection
from shared.records.types import RawRecord

SECTION = AnonymiseSection()
RECORDS = [RawRecord({"text": f"record {i}"}, None, i) for i in range(1, 1201)]
Asked = list[Sequence[RawRecord]]


def found(covered: int) -> Assessment:
    """Return an assessment in which this many of 450 planted identifiers were covered."""
    planted = LeakScore(Recall(0, 0), {"PERSON": Recall(covered, 450)}, Recall(0, 0), Recall(0, 0))
    return Assessment(500, {}, {}, Recall(0, 500), None, {}, planted, Recall(1, 500), {}, {}, Recall(1, 9))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    """Assessments in which 430 of 450 were covered; gives the records that each was asked about."""
    seen: Asked = []

    def assess(_: AnonymiseSection, records: Sequence[RawRecord], __: int, *, published: bool) -> Assessment:
        assert not published
        seen.append(records)
        return found(430)

    monkeypatch.setattr("privacy.leakage.assessment.assess", assess)
    monkeypatch.setattr("client.data_stage.cache.locate_models", lambda _: {"en": tmp_path / "model"})
    return seen


def test_a_site_joins_when_every_check_passes_and_is_told_each_that_does_not(asked: Asked) -> None:
    admit(GateSection(min_planted_recall=0.93), SECTION, RECORDS, "north")  # 430 of 450: 0.9324 is its interval's lower end
    with pytest.raises(GateFailed) as caught:
        admit(GateSection(min_planted_recall=0.94, max_residual=0.001), SECTION, RECORDS, "north")
    said = str(caught.value)
    assert said.startswith("site north: ")
    assert "planted_recall = 0.932 (needs 0.94), residual = 0.002 (needs 0.001)" in said


def test_a_sample_is_spread_over_all_records(asked: Asked) -> None:
    admit(GateSection(), SECTION, RECORDS, "north")
    (sample,) = asked
    positions = [record.position for record in sample]
    assert len(set(positions)) == SAMPLE
    assert max(b - a for a, b in pairwise(positions)) <= 4
    assert evenly(RECORDS[:7], SAMPLE) == RECORDS[:7]


def test_a_restart_asks_the_cache_and_another_gate_or_record_asks_anew(asked: Asked, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", b"k" * 32)
    for _ in range(2):
        admit(GateSection(), SECTION, RECORDS, "north", cache)
    assert len(asked) == 1
    for _ in range(2):  # a failure is remembered too
        with pytest.raises(GateFailed):
            admit(GateSection(min_planted_recall=0.99), SECTION, RECORDS, "north", cache)
    assert len(asked) == 2
    admit(GateSection(), SECTION, RECORDS[1:], "north", cache)
    assert len(asked) == 3
