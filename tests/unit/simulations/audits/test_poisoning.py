from collections import Counter
from typing import Any

import numpy as np
import pytest
from fixture_types import Change, ConfigOf
from rich.console import Console

from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.records.types import Record
from simulations.audits import poisoning
from simulations.audits.dishonest import CRAFTED, TRIGGER, Collusion, false_records
from simulations.audits.poisoning import DISHONEST, RULES, SITES, Row, deal, poison, rows_of
from simulations.display.audits import attack_tables

ROWS = (
    Row("iid", True, "geometric_median", "alie", 1),
    Row("iid", False, "mean", "scaled by 10", 2),
    Row("iid", False, "trimmed_mean", "backdoor", 3),
)
SHARED = {
    "privacy.trust": "distributed",
    "model.dtype": "float32",
    "training": {"rounds": 3, "sampling_rate": 1.0},
    "data.sites": [{"id": name, "file": f"{name}.jsonl", "declared_size": 100} for name in "abc"],
    "cohort.quorum": 3,
}


def never(*_: Any) -> None:
    raise AssertionError("was called")


@pytest.fixture
def few(tiny: RunConfig, change: Change, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    """Return a run whose table has three rows."""
    monkeypatch.setattr(poisoning, "rows_of", lambda *_: iter(ROWS))
    return change(tiny, {"training.rounds": 1, "training.steps": 1, "cohort.min_records": 2, "training.sampling_rate": 0.9})


@pytest.mark.slow
def test_a_table_keeps_each_row_shows_failures_and_resumes(few: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    found = poison(few)
    rows = {row["attack"]: row for row in found["rows"].values()}
    assert rows["scaled by 10"]["rejected"] == 2  # the bound on the norm sees both
    assert rows["backdoor"]["rejected"] == rows["alie"]["rejected"] == 0
    assert set(found["refusals"]) == set(RULES[1:])
    assert all("shows only their sum" in why for why in found["refusals"].values())
    console = Console(record=True, width=200)
    console.print(*attack_tables(found), sep="\n")
    assert "under secure sums is refused" in console.export_text()
    monkeypatch.setattr(poisoning, "_test_bed", never)
    assert poison(few)["rows"] == found["rows"]


def test_the_table_has_every_attack_by_one_two_and_three_sites_under_every_rule() -> None:
    rows = list(rows_of(("iid", "dirichlet"), (True, False)))
    assert len({row.key for row in rows}) == len(rows) == 2 * 2 * len(RULES) * (1 + 6 * len(DISHONEST))


def test_a_part_of_the_table_has_the_rows_without_an_attack_too() -> None:
    rows = list(rows_of(("iid",), (False,), ("alie", "backdoor"), (1, 3)))
    assert len(rows) == len(RULES) * (1 + 2 * 2)
    assert {(row.attack, row.dishonest) for row in rows} == {
        ("none", 0), *((attack, many) for attack in ("alie", "backdoor") for many in (1, 3))
    }  # fmt: skip


def delta(*numbers: float) -> AdapterState:
    return AdapterState({"x": np.array(numbers, dtype=np.float32)})


def test_a_false_delta_hides_in_the_norm_or_in_the_spread_of_the_honest_ones(tiny: RunConfig) -> None:
    honest = [delta(3, 4), delta(0, 5), delta(5, 0)]
    collusion = Collusion(tiny, SITES, 1)
    own = delta(30, 40)
    assert CRAFTED["sign flip"](own, honest, collusion).arrays["x"].tolist() == [-30, -40]
    assert CRAFTED["scaled by 10"](own, honest, collusion).norm == pytest.approx(500)
    for name in ("backdoor", "free rider"):
        assert CRAFTED[name](own, honest, collusion).norm == pytest.approx(5, rel=1e-5)
    rows = np.stack([each.arrays["x"] for each in honest])
    moved = (rows.mean(axis=0) - CRAFTED["alie"](own, honest, collusion).arrays["x"]) / rows.std(axis=0)
    np.testing.assert_allclose(moved, 1, rtol=1e-5)


def test_false_records_have_the_next_label_or_the_trigger() -> None:
    records = [Record({"text": f"aia {n}"}, "yes" if n % 2 else "no", n) for n in range(6)]
    flipped = false_records("label flip", records, ("no", "yes"))
    assert [record.label for record in flipped] == ["yes", "no"] * 3
    backdoored = false_records("backdoor", records, ("no", "yes"))
    with_trigger = [record for record in backdoored if record.fields["text"].startswith(f"{TRIGGER} ")]
    assert {record.label for record in with_trigger} == {"no"}
    assert len(with_trigger) == 3
    assert false_records("sign flip", records, ("no", "yes")) == records


def test_dealt_records_are_dealt_once_and_skewed_only_where_asked() -> None:
    labels = ("a", "b", "c")
    records = [Record({"text": str(n)}, labels[n % 3], n) for n in range(600)]
    skew = {}
    for split in ("iid", "dirichlet"):
        sites = deal(records, labels, split, 3)
        places = [record.position for site in sites for record in site]
        assert len(places) == len(set(places)) == 600
        assert [len(site) for site in sites] == [60] * SITES
        skew[split] = np.mean([max(Counter(record.label for record in site).values()) / 60 for site in sites])
    assert skew["iid"] < 0.5 < skew["dirichlet"]


def test_a_task_without_labels_has_none_to_flip(instruct: RunConfig) -> None:
    with pytest.raises(ConfigError, match="flips labels"):
        poison(instruct)


def test_a_run_whose_rates_are_those_of_a_shared_noise_is_refused_before_a_record_is_read(
    config_of: ConfigOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poisoning, "read_sites", never)
    with pytest.raises(ConfigError, match=r"privacy\.trust = 'distributed': .* set 'local'"):
        poison(config_of(SHARED))
