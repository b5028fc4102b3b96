"""What a server asked is counted on the disk, over restarts, until the steward or time lets more pass."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from fixture_types import ConfigOf
from hypothesis import given, settings
from hypothesis import strategies as st

from client.question_log import DAY, SetUps
from privacy.policy import SitePolicy
from shared.config.run import RunConfig
from shared.errors import PolicyRefused, PrivacyError


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Callable[..., SetUps]:
    """Return the book as a newly started process finds it."""

    def open_it(**limits: Any) -> SetUps:
        policy = SitePolicy(dataset_epsilon=8.0, tasks=("classification",), models=(), **limits)
        return SetUps(tmp_path / "state" / "set_ups.json", policy, clock)

    return open_it


def seeded(config_of: ConfigOf, seed: int) -> RunConfig:
    return config_of({"run.seed": seed})


def fails(book: SetUps, number: int = 1, error: BaseException | None = None) -> None:
    with pytest.raises(type(error or MemoryError())), book.attempt("run", number):
        raise error or MemoryError()


def test_set_ups_beyond_the_limit_are_refused_after_a_restart_too_and_known_ones_go_on(
    opened: Callable[..., SetUps], config_of: ConfigOf
) -> None:
    for seed in (1, 2, 3, 2, 1):
        opened().allow(seeded(config_of, seed))
    for _ in range(2):
        with pytest.raises(PolicyRefused, match=r"policy\.max_set_ups: the order asks for another .* than the 3 in 30 days"):
            opened().allow(seeded(config_of, 4))
    opened().allow(seeded(config_of, 3))


def test_the_steward_lets_more_pass_and_they_pass_once(opened: Callable[..., SetUps], config_of: ConfigOf) -> None:
    for seed in (1, 2, 3):
        opened().allow(seeded(config_of, seed))
    opened().admit(1)
    opened().allow(seeded(config_of, 4))
    with pytest.raises(PolicyRefused, match=r"and this site allows 4; the steward may .* 'hushtune provision admit'"):
        opened().allow(seeded(config_of, 5))


def test_what_is_older_than_the_policys_days_counts_no_more_nor_does_what_was_admitted_then(
    opened: Callable[..., SetUps], config_of: ConfigOf, clock: Clock
) -> None:
    opened().admit(5)
    for seed in range(8):
        opened().allow(seeded(config_of, seed))
    clock.now += 30 * DAY - 1
    with pytest.raises(PolicyRefused):
        opened().allow(seeded(config_of, 8))
    clock.now += 2
    for seed in (8, 9, 10):
        opened().allow(seeded(config_of, seed))
    with pytest.raises(PolicyRefused, match="max_set_ups"):
        opened().allow(seeded(config_of, 11))


def test_a_clock_that_is_set_back_forgets_nothing(opened: Callable[..., SetUps], config_of: ConfigOf, clock: Clock) -> None:
    for seed in (1, 2, 3):
        opened().allow(seeded(config_of, seed))
    clock.now -= 100 * DAY
    with pytest.raises(PolicyRefused):
        opened().allow(seeded(config_of, 4))


def test_a_round_that_fails_is_counted_and_one_that_ends_well_is_not(
    opened: Callable[..., SetUps], config_of: ConfigOf, clock: Clock
) -> None:
    book = opened(max_failures=2)
    for number in range(5):
        with book.attempt("run", number):
            assert book.count().failures == 1  # until it is over it counts: the process may die in it
    assert book.count().failures == 0
    fails(book)
    book.allow(config_of())
    fails(book)  # the same round again is another bit
    with pytest.raises(PolicyRefused, match=r"policy\.max_failures: the order comes after 2 rounds in 30 days that began"):
        opened(max_failures=2).allow(config_of())
    clock.now += 1
    opened().admit(0)
    opened(max_failures=2).allow(config_of())


def test_a_process_that_dies_in_a_round_leaves_it_counted(opened: Callable[..., SetUps]) -> None:
    began = opened().attempt("run", 1)
    began.__enter__()  # and nothing after it
    assert opened().count().failures == 1


@pytest.mark.parametrize("end", [SystemExit(0), KeyboardInterrupt()])
def test_a_process_that_is_asked_to_end_counts_nothing(opened: Callable[..., SetUps], end: BaseException) -> None:
    fails(opened(), error=end)
    assert opened().count().failures == 0


@pytest.mark.parametrize("content", ["", "{", '{"asked": [{"time": 1}]}', '{"more": 1}'])
def test_a_count_that_cannot_be_read_lets_nothing_pass(
    opened: Callable[..., SetUps], config_of: ConfigOf, tmp_path: Path, content: str
) -> None:
    opened().allow(config_of())
    (tmp_path / "state" / "set_ups.json").write_text(content)
    with pytest.raises(PrivacyError, match=r"set_ups\.json: cannot be read, so earlier questions of the server are unknown"):
        opened().allow(config_of())


def test_a_count_that_cannot_be_written_lets_nothing_pass(
    opened: Callable[..., SetUps], config_of: ConfigOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.question_log.replace_file", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(PrivacyError, match=r"cannot be written \(No space left on device\), so nothing is trained"):
        opened().allow(config_of())


@settings(max_examples=40, deadline=None)
@given(asked=st.lists(st.integers(0, 6), max_size=12), limit=st.integers(0, 4))
def test_never_more_different_set_ups_pass_than_the_limit(
    config_of: ConfigOf, tmp_path_factory: pytest.TempPathFactory, asked: list[int], limit: int
) -> None:
    policy = SitePolicy(dataset_epsilon=8.0, tasks=("classification",), models=(), max_set_ups=limit)
    path, passed = tmp_path_factory.mktemp("state") / "set_ups.json", set[int]()
    for seed in asked:
        try:
            SetUps(path, policy).allow(seeded(config_of, seed))
            passed.add(seed)
        except PolicyRefused:
            assert len(passed) == limit
    assert len(passed) <= limit
