"""What a server may put into a run's config, and what is the site's own to say, before any file is opened."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixture_types import ConfigOf
from site_toml import site_toml, with_policy

from client.permission import permit
from client.site_file import SiteFile
from privacy.questions import of_kind
from shared.adapters.state import AdapterState
from shared.errors import PolicyRefused
from shared.models.catalogue import CATALOGUE
from shared.wire.messages import TrainOrder
from shared.wire.version import installed

SITE = site_toml(
    f'tasks = ["classification", "instruction"]\nmodels = ["{CATALOGUE["minilm"].sha256}"]',
    min_records="30",
    columns='{ text = ["subject", "letter"], label = "stay", known = ["name"], person = "patient" }',
    labels='["yes", "no"]',
    label_bins='[{ label = "yes", low = 3, high = 9 }]',
    groups='{ sex = ["f", "m"] }',
).replace("[cleaning]", '[cleaning]\nrepair = false\nmin_chars = 5\nlanguages = ["en"]')
Forge = Callable[[Mapping[str, Any]], TrainOrder]


@pytest.fixture
def file(tmp_path: Path) -> SiteFile:
    (tmp_path / "SITE.toml").write_text(SITE)
    return SiteFile.load(tmp_path / "SITE.toml")


@pytest.fixture
def forge(config_of: ConfigOf) -> Forge:
    adapter = AdapterState({"b": np.zeros(2, np.float32)})
    return lambda changes: TrainOrder("run", 1, "nonce", config_of(dict(changes)), adapter, 2, installed())


SAME = {
    "data.columns": {"text": ["subject", "letter"], "label": "stay", "known": ["name"], "person": "patient"},
    "data.label_bins": [{"label": "yes", "low": 3, "high": 9}],
    "cohort.min_records": 30,
    "cleaning": {"repair": False, "min_chars": 5, "languages": ["en"]},
    "adversary": {"column": "sex", "groups": ["m", "f"]},
}


@pytest.mark.parametrize("left_out", [*SAME, ""])
def test_a_run_leaves_out_what_is_the_sites_own_or_says_the_same(file: SiteFile, forge: Forge, left_out: str) -> None:
    permit(file, forge({}))
    permit(file, forge({name: value for name, value in SAME.items() if name != left_out}))


OTHERS: dict[str, tuple[Mapping[str, Any], str, str]] = {
    "data.columns.text": (
        {"data.columns.text": "letter"},
        "data.columns.text",
        '"letter", and .* sets ["subject", "letter"]',
    ),
    "data.columns.label": ({"data.columns.label": "hiv"}, "data.columns.label", '"hiv", and this site sets "stay"'),
    "data.columns.instruction": ({"data.columns.instruction": "q"}, "data.columns.instruction", '"q"'),
    "data.columns.response": ({"data.columns.response": "a"}, "data.columns.response", '"a"'),
    "data.columns.known": ({"data.columns.known": ["patient"]}, "data.columns.known", '["patient"]'),
    "data.columns.person": ({"data.columns.person": "name"}, "data.columns.person", '"name"'),
    "data.columns.spans": ({"data.columns": {"spans": "s"}}, "data.columns.spans", '"s", and this site sets none'),
    "data.columns.tags": ({"data.columns.tags": "spans"}, "data.columns.tags", '"spans"'),
    "data.label_bins": (
        {"data.label_bins": [{"label": "yes", "low": 43, "high": 43}]},
        "data.label_bins",
        "43.0",
    ),
    "task.labels": ({"task.labels": ["no", "yes", "hiv"]}, "data.labels", '"hiv"'),
    "cohort.min_records": ({"cohort.min_records": 31}, "data.min_records", "31, and this site sets 30"),
    "adversary.groups": ({"adversary": {"column": "sex", "groups": ["f", "x"]}}, "data.groups", '"x"'),
    "cleaning.repair": ({}, "", ""),  # the run's default, true, is not the site's, and is not asked for
    "cleaning.languages": ({"cleaning.languages": ["de"]}, "cleaning.languages", '["de"]'),
    "cleaning.min_chars": ({"cleaning.min_chars": 6}, "cleaning.min_chars", "6, and this site sets 5"),
    "cleaning.max_repetition": ({"cleaning.max_repetition": 0.5}, "cleaning.max_repetition", "0.5"),
    "cleaning.exact_duplicates": ({"cleaning.exact_duplicates": "drop"}, "cleaning.exact_duplicates", '"drop"'),
    "cleaning.label_conflicts": (
        {"cleaning": {"label_conflicts": "drop", "exact_duplicates": "drop"}},
        "cleaning.exact_duplicates",
        '"drop"',
    ),
    "cleaning.near_duplicates": ({"cleaning.near_duplicates": 0.9}, "cleaning.near_duplicates", "0.9"),
}


def test_every_field_that_is_a_sites_own_is_tried() -> None:
    assert set(OTHERS) == set(of_kind("own"))


@pytest.mark.parametrize(("changes", "field", "says"), OTHERS.values(), ids=OTHERS)
def test_a_run_that_asks_for_something_else_is_refused_by_the_name_of_the_field(
    file: SiteFile, forge: Forge, changes: Mapping[str, Any], field: str, says: str
) -> None:
    if not changes:
        permit(file, forge(changes))
        return
    with pytest.raises(PolicyRefused) as caught:
        permit(file, forge(changes))
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: the order has ")
    assert all(part in str(caught.value) for part in says.split(" .* "))
    assert "\n" not in str(caught.value)


def test_an_adversary_on_a_column_that_the_site_does_not_name_is_refused(file: SiteFile, forge: Forge) -> None:
    with pytest.raises(PolicyRefused, match=r"data\.groups: the order trains an adversary on column 'hiv', .* allows sex"):
        permit(file, forge({"adversary": {"column": "hiv", "groups": ["yes", "no"]}}))


@pytest.mark.parametrize(
    ("sites", "says"),
    [
        ([{"id": "north", "file": "n", "declared_size": 101}], "gives this site 101 declared records, and .* declares 100"),
        ([{"id": "south", "file": "s", "declared_size": 100}], "gives this site no declared records"),
    ],
)
def test_a_run_for_another_size_is_refused(file: SiteFile, forge: Forge, sites: list[Any], says: str) -> None:
    with pytest.raises(PolicyRefused, match=rf"data\.declared_size: the order {says}"):
        permit(file, forge({"data.sites": sites}))


def test_the_policy_is_asked_too(file: SiteFile, forge: Forge) -> None:
    with pytest.raises(PolicyRefused, match="max_rounds"):
        permit(file, forge({"training.rounds": 101}))


def test_labels_mean_nothing_to_an_instruction(file: SiteFile, forge: Forge) -> None:
    with pytest.raises(PolicyRefused) as caught:
        permit(file, forge({"task": {"name": "instruction"}, "cleaning.min_chars": 6}))
    assert caught.value.field == "cleaning.min_chars"


def test_a_limit_of_ranks_does_not_concern_an_adapter_that_has_none(file: SiteFile, forge: Forge) -> None:
    limited = with_policy(file, max_rank=4)
    permit(limited, forge({"adapter": {"family": "ia3"}}))
    with pytest.raises(PolicyRefused):
        permit(limited, forge({"adapter": {"family": "core", "rank": 8}}))


def test_a_rank_above_the_sites_limit_is_refused_unless_the_run_takes_lower_ranks(file: SiteFile, forge: Forge) -> None:
    limited = with_policy(file, max_rank=4)
    ranks = {"adapter.rank": 8, "aggregation.method": "partitioned_mean"}
    given = {**ranks, "data.sites.0.rank": 5}
    for allowed, rank in (({**ranks, "data.sites.0.rank": 3}, 3), (given, 4), (ranks, 4), ({"adapter.rank": 4}, 4)):
        permit(limited, forge(allowed))
        assert limited.rank_in(forge(allowed).config) == rank
    for site, changes in ((limited, {"adapter.rank": 5}), (with_policy(file, max_rank=0), ranks)):
        with pytest.raises(PolicyRefused, match=r"set aggregation\.method = 'partitioned_mean' in the run") as caught:
            permit(site, forge(changes))
        assert caught.value.field == "max_rank"
        assert "\n" not in str(caught.value)
