"""The data stage of a simulated federation, from files to a run whose unit is the person."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fixture_types import Change, ConfigOf

from client.data_stage.augmentation.paraphrases import Paraphrases
from client.data_stage.cache import Cache
from client.data_stage.site_data import SiteData
from privacy.anonymise.pipeline import Anonymiser
from privacy.leakage.gate import GateFailed
from shared.config.anonymise import GateSection
from shared.config.run import RunConfig
from shared.records.types import RawRecord, Record
from simulations.data.synthetic import account_holders, stream
from simulations.display.run import paraphrase_lines
from simulations.reading import read_sites
from simulations.run import simulate
from simulations.sites import scrub_sites

PERSONS = 30
SETTINGS: Mapping[str, Any] = {
    "model.dtype": "float32",
    "model.device": "cpu",
    "model.max_length": 24,
    "adapter.rank": 2,
    "training.rounds": 1,
    "training.steps": 2,
    "training.sampling_rate": 0.3,
    "data.columns.person": "who",
    "data.cache_encrypted": False,
    "data.sites": [{"id": "north", "file": "north.jsonl", "declared_size": 24}],
    "privacy": {"unit": "person", "person_cap": 3, "epsilon": 1.0, "release": "metrics"},
    "cleaning": {"exact_duplicates": "drop", "min_chars": 4},
    "augmentation.views": 2,
    "balance.weights": "counts",
    "anonymise.workers": 1,
    "evaluation.bootstrap": 100,
}


def rows() -> list[dict[str, object]]:
    """Thirty persons: the first three with 12 records each, the others with 1; one text twice at the same person."""
    owners = [*range(3)] * 12 + [*range(3, PERSONS)]
    found = [
        {"text": f"aia bjb number {i}", "label": "yes" if i % 2 else "no", "who": owner} for i, owner in enumerate(owners)
    ]
    return [*found, dict(found[0]), {"text": "no", "label": "no", "who": 29}]


@pytest.fixture
def config(config_of: ConfigOf, tiny_bert: Path, tmp_path: Path) -> RunConfig:
    lines = "".join(json.dumps(row) + "\n" for row in rows())
    (tmp_path / "north.jsonl").write_text(lines, encoding="utf-8")
    places = {"data.root": str(tmp_path), "data.cache": str(tmp_path / "cache"), "run.output": str(tmp_path / "runs")}
    return config_of({**SETTINGS, **places, "model.name": str(tiny_bert)})


def prepared(config: RunConfig, folder: Path) -> SiteData:
    return scrub_sites(config, read_sites(config, folder), folder)[0]


@pytest.mark.slow
def test_a_run_for_persons_says_so_and_its_cache_saves_the_next_one_the_scrubbing(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = simulate(config).report
    site = report["sites"][0]
    assert report["privacy"]["unit"] == "person"
    assert "a particular person was in that" in report["privacy"]["guarantee"]
    assert "one person with all their records" in report["privacy"]["guarantee"]
    assert any(line.startswith("Changes to some of a person's records") for line in report["privacy"]["not_protected"])
    assert not any("the unit is one record" in line for line in report["privacy"]["not_protected"])
    assert 0 < site["epsilon"] <= 1.0  # it pays for the noised sums too
    assert set(report["rounds"][0]["released"]["north"]) == {"loss", "hits", "records"}
    assert site["touched"]["cleaning.min_chars"] == 1
    assert site["touched"]["privacy.person_cap"] > 0
    assert report["privacy"]["data_steps"]["balance.weights"]["paid"] is True
    asked: list[int] = []
    original = Anonymiser.scrub_groups

    def watched(self: Anonymiser, groups: Sequence[Sequence[Any]], progress: Any = None) -> Any:
        asked.extend(len(group) for group in groups)
        return original(self, groups, progress)

    monkeypatch.setattr(Anonymiser, "scrub_groups", watched)
    again = prepared(config, tmp_path / "again")
    assert asked == []
    assert (len(again.training.records), len(again.held_out.records)) == (site["records"], site["held_out"])


@pytest.mark.slow
def test_no_person_is_on_both_sides_and_none_has_more_records_than_the_cap(config: RunConfig, tmp_path: Path) -> None:
    data = prepared(config, tmp_path)
    owner = {position: str(row["who"]) for position, row in enumerate(rows(), start=1)}
    training = [owner[record.position] for record in data.training.records]
    assert training == list(data.persons)
    assert not set(training) & {owner[record.position] for record in data.held_out.records}
    assert max(training.count(person) for person in training) == 3


def test_a_simulated_site_below_the_configs_gate_is_named_before_anything_is_scrubbed(
    config_of: ConfigOf, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def admit(gate: GateSection, _: object, records: Sequence[RawRecord], site_id: str, cache: Cache) -> None:
        asked.append(len(records))
        raise GateFailed(f"site {site_id}: needs {gate.min_planted_recall}")

    monkeypatch.setattr("client.data_stage.site_data.admit", admit)
    gated = config.model_copy(update={"gate": GateSection(min_planted_recall=0.97)})
    with pytest.raises(GateFailed, match=r"site north: needs 0.97"):
        prepared(gated, tmp_path)
    assert asked == [len(rows()) - 1]  # one record is too short for cleaning.min_chars
    assert config_of().gate is None


def test_a_record_of_nobody_is_read_to_be_held_back_where_persons_count(config: RunConfig, tmp_path: Path) -> None:
    with (tmp_path / "north.jsonl").open("a", encoding="utf-8") as stream_:
        stream_.write(json.dumps({"text": "aia bjb", "label": "no", "who": None}) + "\n")
    assert [bool(record.lacks) for record in read_sites(config, tmp_path)["north"]].count(True) == 1


def test_a_tenth_of_the_generated_persons_writes_about_half_of_the_records() -> None:
    owners = account_holders(2000, stream(1, "accounts", 0))
    busiest = sorted((owners.count(person) for person in set(owners)), reverse=True)[:40]
    assert 0.45 < sum(busiest) / 2000 < 0.6
    assert 300 < len(set(owners)) <= 400


@pytest.mark.slow
def test_training_texts_alone_are_paraphrased_and_what_was_kept_is_counted_at_the_site(
    config: RunConfig, change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[Record]] = []

    def paraphrase(_: RunConfig, groups: Sequence[Sequence[Record]], *__: object) -> list[Paraphrases]:
        asked.extend(groups)
        return [Paraphrases({"a": ("b", None)}, {"augmentation.paraphrases": 1}) for _ in groups]

    monkeypatch.setattr("client.data_stage.site_data.paraphrase", paraphrase)
    site = prepared(change(config, {"augmentation.paraphrases": 2}), tmp_path)
    assert asked == [site.training.records]
    assert not {record.position for record in asked[0]} & {record.position for record in site.held_out.records}
    assert site.wordings == {"a": ("b", None)}
    assert (site.touched["augmentation.paraphrases"], site.touched["cleaning.min_chars"]) == (1, 1)


def test_a_report_says_how_many_paraphrases_were_kept_and_where_no_model_wrote_any() -> None:
    touched = {"augmentation.paraphrases": 1200, "augmentation.paraphrases.tags": 300, "cleaning.repair": 4}
    without = {"augmentation.paraphrases": 0, "augmentation.paraphrases.without_model": 80}
    sites = [{"site_id": name, "touched": each} for name, each in zip("abc", (touched, without, {}), strict=True)]
    assert list(paraphrase_lines({"sites": sites})) == [
        "Site a: 1,200 of 1,500 paraphrases were kept",
        "! site b: no model writes paraphrases here, so its views are only noised",
    ]
