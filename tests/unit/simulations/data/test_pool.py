from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixture_types import ConfigOf
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.config.run import RunConfig
from shared.errors import ConfigError, DataError
from shared.records.types import RawRecord
from simulations.data.pool import deal
from simulations.reading import read_sites

LABELS = ["card", "loan", "rate", "fee"]
POOL = Path("pool.csv")


def pool(count: int, labels: Sequence[str] = LABELS, persons: int = 0) -> list[RawRecord]:
    return [
        RawRecord({"text": f"t{n}"}, labels[n % len(labels)], n + 1, person=f"p{n % persons}" if persons else None)
        for n in range(count)
    ]


@pytest.fixture(scope="session")
def pooled(config_of: ConfigOf) -> Callable[..., RunConfig]:
    """``pooled("dirichlet(0.3)", 10)``: a config with ten sites alike."""

    def build(split: str, count: int = 10, **changes: Any) -> RunConfig:
        sites = {"count": count, "declared_size": 40}
        dotted = {name.replace("__", "."): value for name, value in changes.items()}
        return config_of({"task.labels": LABELS, "data.pool": str(POOL), "data.split": split, "data.sites": sites, **dotted})

    return build


@pytest.mark.parametrize("split", ["iid", "dirichlet(0.05)", "dirichlet(0.3)", "dirichlet(100)"])
@settings(max_examples=15, deadline=None)
@given(count=st.integers(20, 90), sites=st.integers(1, 9), seed=st.integers(0, 99))
def test_every_record_is_dealt_to_one_site_and_sites_alike_get_as_many(
    pooled: Callable[..., RunConfig], split: str, count: int, sites: int, seed: int
) -> None:
    records = pool(count)
    config = pooled(split, sites, run__seed=seed)
    dealt = deal(POOL, records, config)
    assert list(dealt) == [site.id for site in config.data.sites]
    assert sorted(record.position for own in dealt.values() for record in own) == list(range(1, count + 1))
    sizes = [len(own) for own in dealt.values()]
    assert max(sizes) - min(sizes) <= 1
    assert all([r.position for r in own] == sorted(r.position for r in own) for own in dealt.values())
    assert deal(POOL, records, config) == dealt


def labels_of(dealt: Mapping[str, Sequence[RawRecord]]) -> np.ndarray[Any, Any]:
    """Return the share of each label at each site, (sites, labels)."""
    counts = [Counter(record.label for record in own) for own in dealt.values()]
    return np.array([[count[label] / count.total() for label in LABELS] for count in counts])


def test_labels_are_spread_as_a_dirichlet_distribution_says(pooled: Callable[..., RunConfig]) -> None:
    """The variance of a share of prior p is p (1 - p) / (alpha + 1), while few of a label's records are used up."""
    records = pool(6_000)
    for alpha in (0.5, 3.0):
        sites = {"count": 40, "declared_size": 40, "records": 40}
        drawn = [deal(POOL, records, pooled(f"dirichlet({alpha})", data__sites=sites, run__seed=s)) for s in range(5)]
        shares = np.concatenate([labels_of(dealt) for dealt in drawn])
        expected = 0.25 * 0.75 / (alpha + 1)
        expected += (0.25 * 0.75 - expected) / 40  # the draw of 40 records from a site's own shares
        assert shares.mean(axis=0) == pytest.approx([0.25] * 4, abs=4 * (expected / 200) ** 0.5)
        assert shares.var(axis=0) == pytest.approx([expected] * 4, rel=0.5)


def test_small_alpha_gives_sites_with_few_labels_and_large_alpha_sites_like_the_pool(
    pooled: Callable[..., RunConfig],
) -> None:
    sites = {"count": 10, "declared_size": 40, "records": 40}  # of 4000, so that no label runs out
    splits = [pooled(f"dirichlet({alpha})", data__sites=sites) for alpha in ("1e-3", 0.3, "1e4")]
    most = [labels_of(deal(POOL, pool(4000), config)).max(axis=1).mean() for config in splits]
    assert most[0] > 0.95
    assert most[0] > most[1] > most[2]
    assert most[2] < 0.45


def test_persons_stay_at_one_site(pooled: Callable[..., RunConfig]) -> None:
    for split in ("iid", "dirichlet(0.3)"):
        dealt = deal(POOL, pool(200, persons=60), pooled(split))
        places = {(record.person, site) for site, own in dealt.items() for record in own}
        assert len(places) == 60


def test_sizes_follow_the_declared_sizes_or_are_said(pooled: Callable[..., RunConfig]) -> None:
    sites = [{"id": "a", "declared_size": 30}, {"id": "b", "declared_size": 10}]
    dealt = deal(POOL, pool(100), pooled("iid", data__sites=sites))
    assert [len(own) for own in dealt.values()] == [75, 25]
    said = [{**site, "records": n} for site, n in zip(sites, (7, 11), strict=True)]
    assert [len(own) for own in deal(POOL, pool(100), pooled("iid", data__sites=said)).values()] == [7, 11]
    with pytest.raises(DataError, match="has 17 records"):
        deal(POOL, pool(17), pooled("iid", data__sites=said))
    with pytest.raises(DataError, match="site 'site-01' gets no record"):
        deal(POOL, pool(3), pooled("iid"))


def test_the_seed_of_the_split_keeps_it_while_the_runs_seed_changes(pooled: Callable[..., RunConfig]) -> None:
    first, second = (deal(POOL, pool(80), pooled("iid", run__seed=seed, data__split_seed=3)) for seed in (1, 2))
    assert first == second
    assert first != deal(POOL, pool(80), pooled("iid", run__seed=3, data__split_seed=4))


WARDS = ["St. Mary", "st mary", "North", "north", "North"]


def written(folder: Path, wards: Sequence[str]) -> None:
    rows = [f"t{n},{LABELS[n % 4]},{ward}" for n, ward in enumerate(wards)]
    (folder / POOL).write_text("\n".join(["text,label,ward", *rows]) + "\n", encoding="utf-8")


def by_ward(config: RunConfig, folder: Path) -> dict[str, list[int]]:
    return {site: [record.position for record in own] for site, own in read_sites(config, folder).items()}


def test_a_column_names_the_sites_or_its_values_are_dealt_out_whole(
    tmp_path: Path, pooled: Callable[..., RunConfig]
) -> None:
    written(tmp_path, WARDS)
    named = [{"id": name, "declared_size": 9} for name in ("north", "st-mary")]
    config = pooled("by(ward)", data__sites=named, data__root=str(tmp_path))
    assert by_ward(config, tmp_path) == {"north": [3, 4, 5], "st-mary": [1, 2]}
    other = [{"id": name, "declared_size": 9} for name in ("a", "b")]
    assert by_ward(pooled("by(ward)", data__sites=other, data__root=str(tmp_path)), tmp_path) == {
        "a": [3, 4, 5],
        "b": [1, 2],
    }
    written(tmp_path, [*WARDS, "West"])
    with pytest.raises(DataError, match=r"record 6: its 'ward' names no site"):
        by_ward(config, tmp_path)
    written(tmp_path, [*WARDS, ""])
    with pytest.raises(DataError, match=r"record 6: no value in column 'ward'"):
        by_ward(config, tmp_path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data.split": "dirichlet(0)"}, "alpha must be above 0"),
        ({"data.split": "dirichlet()"}, "data.split"),
        ({"data.split": "shards(2)"}, "data.split"),
        ({"data.sites": {"count": 0, "declared_size": 9}}, "count = 0: must be a whole number from 1"),
        ({"data.sites": {"count": True, "declared_size": 9}}, "count = True: must be a whole number from 1"),
        ({"data.sites": {"count": 2}}, "declared_size"),
        ({"data.sites": [{"id": "a", "file": "a.csv", "declared_size": 9}]}, "data.pool: replaces the sites' own files"),
        ({"data.source": "synthetic"}, "data.pool: replaces"),
        ({"task": {"name": "instruction"}, "data.split": "dirichlet(0.3)"}, "have no label"),
    ],
)
def test_a_pool_that_cannot_be_dealt_is_refused_in_one_line(
    config_of: ConfigOf, changes: Mapping[str, Any], says: str
) -> None:
    plain = {"data.pool": "pool.csv", "data.sites": {"count": 2, "declared_size": 9}}
    with pytest.raises(ConfigError) as caught:
        config_of({**plain, **changes})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
