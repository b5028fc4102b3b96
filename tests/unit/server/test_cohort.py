from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from fixture_types import ConfigOf

from privacy.dp.plan import PrivacyPlan
from privacy.secagg.shared_plan import SharedNoise
from server.cohort import choose, drawn, gather, has_quorum
from shared.config.cohort import CohortSection
from shared.errors import ConfigError


def test_every_connected_site_is_asked_in_order_of_name() -> None:
    assert choose(("south", "east", "north"), CohortSection(quorum=3), None) == ("east", "north", "south")


def test_nobody_is_asked_when_the_quorum_is_out_of_reach() -> None:
    assert choose(("south", "east"), CohortSection(quorum=3), None) == ()
    assert choose((), CohortSection(quorum=1), None) == ()


def test_nobody_is_asked_for_a_sum_that_could_not_be_made() -> None:
    shared = SharedNoise(sites=4, fewest=3, colluders=1, expected_batch=40.0, slack=0.0)
    plan = PrivacyPlan(0.25, 2.0, 1.0, 1, 3, 1e-4, 200, trust="distributed", shared=shared)
    assert choose(("south", "east"), CohortSection(quorum=1), plan) == ()  # each site would count a round without a reply
    assert choose(("south", "east", "north"), CohortSection(quorum=1), plan) == ("east", "north", "south")


def test_a_round_counts_from_its_quorum_on() -> None:
    assert [has_quorum(3, accepted, CohortSection(quorum=2), None) for accepted in (0, 1, 2, 3)] == [
        False,
        False,
        True,
        True,
    ]


def test_a_trusted_server_samples_each_site_with_its_public_chance() -> None:
    sites = [f"s{i:03}" for i in range(200)]
    plan = PrivacyPlan(0.25, 2.0, 1.0, 1, 3, 1e-4, 200, unit="site", trust="central")
    drawn = [choose(sites, CohortSection(quorum=10), plan) for _ in range(300)]
    sizes = [len(sample) for sample in drawn]
    assert abs(sum(sizes) / len(sizes) - 50) < 4 * (200 * 0.25 * 0.75 / 300) ** 0.5
    assert len(set(sizes)) > 10  # Poisson, not a fixed size
    assert len(set(drawn)) == len(drawn)
    assert choose(sites[:5], CohortSection(quorum=10), plan) == ()


def test_a_public_sample_follows_from_the_seed_and_each_attempt_draws_anew(config_of: ConfigOf) -> None:
    sites = tuple(f"s{i:02}" for i in range(40))
    config, other = (config_of({"cohort.sample": 10, "run.seed": seed}) for seed in (1, 2))
    first = drawn(sites, config, 1, 1)
    assert first == drawn(sites, config, 1, 1) == tuple(sorted(set(first)))
    assert len(first) == 10
    assert len({first, drawn(sites, config, 2, 1), drawn(sites, config, 1, 2), drawn(sites, other, 1, 1)}) == 4
    often = Counter(site for number in range(1, 401) for site in drawn(sites, config, number, 1))
    assert all(abs(often[site] - 100) < 5 * (400 * 0.25 * 0.75) ** 0.5 for site in sites)


def test_without_a_sample_or_with_a_large_one_all_are_asked(config_of: ConfigOf) -> None:
    assert drawn(("a", "b"), config_of({}), 1, 1) == ("a", "b")
    assert drawn(("a", "b"), config_of({"cohort.sample": 2}), 1, 1) == ("a", "b")
    assert drawn((), config_of({"cohort.sample": 2}), 1, 1) == ()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cohort.quorum": 2, "cohort.sample": 1}, "cohort.sample = 1: is below cohort.quorum = 2"),
        ({"cohort.sample": 2, "privacy": {"trust": "central", "unit": "site"}}, "samples sites in secret"),
        ({"cohort.sample": 2, "privacy": {"trust": "distributed", "colluders": 0}}, "plans its noise for all sites"),
    ],
)
def test_a_public_sample_that_does_not_fit_is_refused(config_of: ConfigOf, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        config_of(changes)


def test_an_empty_sample_counts_or_its_absence_would_tell() -> None:
    plan = PrivacyPlan(0.25, 2.0, 1.0, 1, 3, 1e-4, 200, unit="site", trust="central")
    assert has_quorum(200, 0, CohortSection(quorum=10), plan)
    assert not has_quorum(9, 9, CohortSection(quorum=10), plan)


def looks(*found: set[str]) -> tuple[Callable[[], list[str]], list[Any]]:
    left = list(found)
    return lambda: sorted(left.pop(0)), left


def test_a_server_waits_without_limit_for_its_first_quorum_and_names_who_is_missing() -> None:
    connected, left = looks(*[set[str]()] * 5000, {"north"}, {"north"}, {"north", "south"})
    told = list[Any]()
    gather(connected, ["east", "north", "south"], CohortSection(quorum=2, patience=0), told.append, lambda _: None)
    assert told == [["east", "north", "south"], ["east", "south"]]
    assert not left


def test_with_a_quorum_a_server_waits_for_the_others_as_long_as_its_patience_lasts() -> None:
    connected, left = looks({"north"}, {"north"}, {"north", "south"})
    told = list[Any]()
    gather(connected, ["north", "south"], CohortSection(quorum=1, patience=60), told.append, lambda _: None)
    assert (told, left) == ([], [])
