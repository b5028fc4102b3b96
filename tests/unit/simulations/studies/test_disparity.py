"""What privacy does to groups, on outcomes whose shares are known."""

from typing import Any

import numpy as np
import pytest
from fixture_types import Change, ConfigOf
from hypothesis import given, settings
from hypothesis import strategies as st

from client.data_stage.site_data import SiteData
from privacy.anonymise.scrubbed import Scrubbed
from server.report.comparison import write_page
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.records.types import Record
from shared.tasks.classification import ClassOutcome
from shared.tasks.instruction import ResponseOutcome
from simulations.studies.arms import Material
from simulations.studies.disparity import Grouping, disparities, groupings
from simulations.studies.results import Arm, Result

EVERYONE = ("north", "south")
OF_A, OF_B = 300, 60


def outcome(right_of_a: int, right_of_b: int) -> ClassOutcome:
    """Right answers for the first so many of each group."""
    hits = np.concatenate([np.arange(OF_A) < right_of_a, np.arange(OF_B) < right_of_b])
    return ClassOutcome(labels=("no", "yes"), truth=np.ones_like(hits, dtype=np.int64), predicted=hits.astype(np.int64))


def result(epsilon: float | None, of_a: int, of_b: int, seed: int = 0, sites: tuple[str, ...] = EVERYONE) -> Result:
    method = "federation" if len(sites) > 1 else "alone"
    return Result(Arm(method, "m", sites, epsilon, seed), outcome(of_a, of_b), np.arange(OF_A + OF_B))


@pytest.fixture(scope="module")
def config(config_of: ConfigOf) -> RunConfig:
    return config_of({"evaluation.bootstrap": 200, "privacy.epsilon": 8.0})


BY = Grouping("who", ["a"] * OF_A + ["b"] * OF_B)


def test_the_private_row_stands_beside_the_same_method_without_privacy(config: RunConfig) -> None:
    results = [result(None, 270, 48), result(8.0, 255, 30), result(1.0, 240, 12), result(None, 150, 30, sites=("north",))]
    eight, one = disparities(config, results, [BY])
    assert (eight["epsilon"], one["epsilon"], eight["by"]) == (8.0, 1.0, "who")
    assert [row["group"] for row in eight["rows"]] == ["b", "a"]  # the smallest first
    small = eight["rows"][0]
    assert (small["records"], small["free"]["value"], small["private"]["value"]) == (OF_B, 0.8, 0.5)
    assert small["change"]["value"] == pytest.approx(-0.3)
    assert small["change"]["high"] < 0
    assert eight["worst"] == {"free": "b", "private": "b"}
    gap = eight["gap"]
    assert (gap["free"]["value"], gap["private"]["value"]) == pytest.approx((0.1, 0.35))
    assert gap["change"]["value"] == pytest.approx(0.25)
    for each in (gap["free"], gap["private"], gap["change"]):
        assert each["low"] <= each["value"] <= each["high"]
    assert one["gap"]["private"]["value"] == pytest.approx(0.6)


def test_a_row_that_privacy_does_not_change_has_a_change_of_nought(config: RunConfig) -> None:
    (found,) = disparities(config, [result(None, 200, 30), result(8.0, 200, 30)], [BY])
    assert found["gap"]["change"] == {"value": 0, "low": 0, "high": 0}


def test_seeds_are_averaged_and_a_row_without_its_twin_is_left_out(config: RunConfig) -> None:
    results = [result(None, 300, 60), result(None, 300, 30, seed=1), result(8.0, 300, 30)]
    (found,) = disparities(config, results, [BY])
    assert found["rows"][0]["free"]["value"] == pytest.approx(0.75)
    assert list(disparities(config, results[:2], [BY])) == []
    assert list(disparities(config, results[2:], [BY])) == []


@settings(max_examples=25, deadline=None)
@given(st.integers(0, OF_A), st.integers(0, OF_B), st.integers(0, OF_A), st.integers(0, OF_B))
def test_a_gap_is_never_negative_and_the_worst_group_is_below_every_other(
    config: RunConfig, free_a: int, free_b: int, private_a: int, private_b: int
) -> None:
    found: Any = next(disparities(config, [result(None, free_a, free_b), result(8.0, private_a, private_b)], [BY]))
    for side in ("free", "private"):
        values = {row["group"]: row[side]["value"] for row in found["rows"]}
        assert values[found["worst"][side]] == min(values.values())
        assert found["gap"][side]["value"] == pytest.approx(max(values.values()) - min(values.values()))
        assert found["gap"][side]["low"] >= 0


def test_a_language_model_is_worst_where_its_perplexity_is_highest(config_of: ConfigOf) -> None:
    config = config_of({"evaluation.bootstrap": 100, "task": {"name": "instruction"}, "data.label_bins": []})
    losses = np.array([2.0] * OF_A + [3.0] * OF_B)
    both = [
        Result(
            Arm("federation", "m", EVERYONE, epsilon),
            ResponseOutcome(losses=losses, tokens=np.ones(OF_A + OF_B)),
            np.arange(OF_A + OF_B),
        )
        for epsilon in (None, 8.0)
    ]
    (found,) = disparities(config, both, [BY])
    assert found["metric"] == "perplexity"
    assert found["worst"] == {"free": "b", "private": "b"}


def material(config: RunConfig, groups: dict[int, str], records: int = 12) -> Material:
    test = [("north", Record({"text": "x"}, "yes" if place % 3 else "no", place)) for place in range(1, records + 1)]
    test += [("south", Record({"text": "x"}, "yes", place)) for place in range(1, 5)]
    north, south = config.data.sites
    empty = Scrubbed()
    return Material([SiteData(north, [], empty, empty, groups=groups), SiteData(south, [], empty, empty)], [], test)


def test_records_are_grouped_by_class_and_site_unless_a_group_is_declared(config: RunConfig, change: Change) -> None:
    by_class, by_site = groupings(config, material(config, {}))
    assert (by_class.by, by_class.names, by_site.by, by_site.names) == ("class", ["no", "yes"], "site", list(EVERYONE))
    declared = change(config, {"evaluation.probes": {"group": "age"}})
    (found,) = groupings(declared, material(config, {1: "old", 2: "young"}))
    assert (found.by, found.names) == ("age", ["old", "young"])
    assert found.groups.count(None) == 14


@pytest.mark.parametrize("groups", [{}, {1: "old"}, {place: str(place) for place in range(1, 23)}])
def test_a_declared_group_that_compares_nothing_is_refused(
    config: RunConfig, change: Change, groups: dict[int, str]
) -> None:
    with pytest.raises(ConfigError, match="groups in column 'age'; name a column with 2 to 20"):
        groupings(change(config, {"evaluation.probes": {"group": "age"}}), material(config, groups, 22))


def test_the_page_shows_the_worst_group_and_the_gap(config: RunConfig, tmp_path: Any) -> None:
    found = list(disparities(config, [result(None, 270, 48), result(8.0, 255, 30)], [BY]))
    document = {
        "run": "r", "task": "classification", "config": config.model_dump(mode="json"), "config_digest": "0" * 64,
        "confidence": 0.95, "records": {"test": 360, "public": 0}, "rows": [], "conclusions": [], "disparities": found,
    }  # fmt: skip
    write_page(document, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for words in (
        "What privacy does to groups",
        "federation, epsilon 8",
        "b: 50.0\N{NO-BREAK SPACE}%",
        "+25 points",
        "the smallest group first",
    ):
        assert words in page
    write_page({**document, "disparities": []}, tmp_path / "page.html")
    assert "What privacy does to groups" not in (tmp_path / "page.html").read_text(encoding="utf-8")
