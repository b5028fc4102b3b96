import ast
import inspect
import math
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest, norm
from syntax import REPOSITORY, nodes

from privacy.dp import entropy, noise
from privacy.dp.entropy import uniforms
from privacy.dp.noise import CHUNK, LARGEST_STD, REACH, SMALLEST_STD, rounded_gaussian
from shared.errors import PrivacyError

CPU = torch.device("cpu")
LIKELY = 1e-6  # a correct source falls below this once in a million runs
STD = 0.7 * 2.0**40
stds = st.floats(math.log2(SMALLEST_STD), math.log2(LARGEST_STD)).map(lambda exponent: 2.0**exponent)


def in_stds(count: int, std: float = STD) -> np.ndarray:  # type: ignore[type-arg]
    return rounded_gaussian(count, std, CPU).numpy() / std


@pytest.mark.parametrize("std", [SMALLEST_STD, STD, 1.3 * 2.0**41, LARGEST_STD])
def test_the_noise_is_gaussian_with_the_std_that_is_asked_for(std: float) -> None:
    drawn = in_stds(100_000, std)
    assert abs(drawn.mean()) < 5 / drawn.size**0.5
    assert abs(drawn.std() - 1) < 5 / (2 * drawn.size) ** 0.5
    assert kstest(drawn, "norm").pvalue > LIKELY
    assert 3.5 < abs(drawn).max() < 7


def test_the_tail_has_the_share_of_a_gaussian_tail() -> None:
    drawn, edges = in_stds(1_000_000), np.array([-np.inf, -4, -3.5, -3, 3, 3.5, 4, np.inf])
    assert chisquare(np.histogram(drawn, edges)[0], np.diff(norm.cdf(edges)) * drawn.size).pvalue > LIKELY


def test_the_low_bits_of_the_noise_are_even() -> None:
    drawn = rounded_gaussian(200_000, STD, CPU).numpy()
    for bits in (1, 8):
        assert chisquare(np.bincount(drawn & ((1 << bits) - 1), minlength=1 << bits)).pvalue > LIKELY
    assert len(np.unique(drawn)) > 0.999 * drawn.size


@given(std=stds)
@settings(max_examples=30, deadline=None)
def test_every_number_within_reach_is_proposed_and_none_is_kept_with_a_chance_above_1(std: float) -> None:
    proposal = noise._proposal(std, CPU)
    assert len(proposal.seats) << proposal.block_bits >= REACH * std
    assert sum(proposal.seats) == len(proposal.blocks) == 1 << noise.SEAT_BITS
    assert proposal.block_bits + noise.SEAT_BITS < 64  # the bits of a seat, of a place in a block and of the sign are apart
    for block, seats in enumerate(proposal.seats):
        first = (block << proposal.block_bits) + 0.5
        assert seats >= 1
        assert math.exp(-((first / std) ** 2) / 2) * proposal.scale / seats <= 1


@given(std=stds, place=st.floats(-12, 12), share=st.integers(0, 2**63 - 1))
@settings(max_examples=30, deadline=None)
def test_an_attempt_gives_the_number_its_bits_name_with_the_chance_that_is_its_weight(
    std: float, place: float, share: int
) -> None:
    """The whole map from random bits to a number, against a formula that knows nothing of how the product computes."""
    proposal = noise._proposal(std, CPU)
    magnitude = min(int(abs(place) * std), (len(proposal.seats) << proposal.block_bits) - 1)
    block = magnitude >> proposal.block_bits
    seat = proposal.blocks.tolist().index(block)
    word = magnitude % (1 << proposal.block_bits) | seat << proposal.block_bits
    word -= 2**63 if place < 0 else 0
    chance = math.exp(-(((magnitude + 0.5) / std) ** 2) / 2) * proposal.scale / proposal.seats[block]
    near = (int((chance + off) * 2**63) for off in (-4 * noise.DOUBT, 4 * noise.DOUBT))  # a share at random is rarely near
    for share_near in (share, *(max(0, min(each, 2**63 - 1)) for each in near)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(noise, "random_words", lambda count, _, drawn=share_near: torch.tensor([word, drawn]))
            found = proposal.attempts(1).tolist()
        if abs(chance - share_near / 2**63) > 2 * noise.DOUBT:
            assert found == ([] if share_near / 2**63 > chance else [~magnitude if place < 0 else magnitude])


@given(std=stds, place=st.floats(0, 6), off=st.integers(-(2**10), 2**10))
@settings(max_examples=30, deadline=None)
def test_what_float64_cannot_decide_is_decided_exactly(std: float, place: float, off: int) -> None:
    """A share that differs from the chance by a few in 2^63, where float64 has 53 bits."""
    from decimal import Decimal, localcontext

    proposal = noise._proposal(std, CPU)
    magnitude = int(place * std)
    with localcontext(prec=120):
        z = (Decimal(magnitude) + Decimal("0.5")) / Decimal(std)
        chance = (-z * z / 2).exp() * Decimal(proposal.scale) / proposal.seats[magnitude >> proposal.block_bits]
        share = min(max(int(chance * 2**63) + off, 0), 2**63 - 1)
        kept = Decimal(share) + 1 <= chance * 2**63  # whatever bits follow
        dropped = Decimal(share) >= chance * 2**63
    if kept or dropped:
        assert proposal._keeps(magnitude, share) == kept
    seat = proposal.blocks.tolist().index(magnitude >> proposal.block_bits)
    word = magnitude % (1 << proposal.block_bits) | seat << proposal.block_bits
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(noise, "random_words", lambda count, _: torch.tensor([word, share]))
        if kept or dropped:
            assert proposal.attempts(1).tolist() == ([magnitude] if kept else [])


@given(std=st.floats(SMALLEST_STD, 2.0**45))
@settings(max_examples=10, deadline=None)
def test_the_weights_differ_from_a_rounded_gaussians_by_no_more_than_the_docstring_says(std: float) -> None:
    from mpmath import erfc, exp, mp, mpf, sqrt

    mp.dps = 60
    for place in (0.0, 0.5, 1.0, 3.0, 9.0, 19.9):
        number = mpf(int(place * std))
        cell = (erfc(number / (std * sqrt(2))) - erfc((number + 1) / (std * sqrt(2)))) / 2
        middle = exp(-(((number + mpf("0.5")) / std) ** 2) / 2) / (std * sqrt(2 * mp.pi))
        assert abs(cell / middle - 1) <= 17 / mpf(std) ** 2


def test_two_draws_and_neighbouring_numbers_are_unrelated() -> None:
    one, two = in_stds(100_000), in_stds(100_000)
    for left, right in (
        (one, two),
        (one[:-1], one[1:]),
        (one[:50_000], one[50_000:]),
        (one, np.sort(np.abs(two))[::-1]),
    ):
        assert abs(np.corrcoef(left, right)[0, 1]) < 5 / len(left) ** 0.5


@pytest.mark.parametrize("count", [0, 1, 7, CHUNK, 2 * CHUNK + 3])
def test_as_many_numbers_come_as_are_asked_for_and_none_twice(count: int) -> None:
    drawn = rounded_gaussian(count, STD, CPU)
    assert drawn.shape == (count,)
    assert drawn.dtype == torch.int64
    assert len(torch.unique(drawn)) >= count - 1


@pytest.mark.parametrize("std", [0.0, SMALLEST_STD / 2, LARGEST_STD * 2, math.inf, math.nan])
def test_a_std_that_the_bound_on_the_error_does_not_cover_is_refused(std: float) -> None:
    with pytest.raises(PrivacyError, match=r"must be from 2\^(10|32) to 2\^54 steps"):
        rounded_gaussian(3, std, CPU)


def seeded(draw: Callable[[], np.ndarray]) -> np.ndarray:  # type: ignore[type-arg]
    with torch.random.fork_rng():
        torch.manual_seed(7)
        np.random.seed(7)
        random.seed(7)
        return draw()


@pytest.mark.parametrize("draw", [lambda: in_stds(20_000), lambda: uniforms(20_000)], ids=["noise", "uniforms"])
def test_known_seeds_do_not_replay_it(draw: Callable[[], np.ndarray]) -> None:  # type: ignore[type-arg]
    first, again = seeded(draw), seeded(draw)
    assert not np.isin(first, again).mean() > 0.01
    assert abs(np.corrcoef(first, again)[0, 1]) < 5 / 20_000**0.5


def test_drawing_noise_leaves_seeded_streams_alone() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        plain = torch.rand(3)
        torch.manual_seed(3)
        rounded_gaussian(100, STD, CPU)
        assert torch.equal(torch.rand(3), plain)


def test_each_draw_takes_fresh_bits_of_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[bytes] = []
    original = entropy.os.urandom
    monkeypatch.setattr(entropy.os, "urandom", lambda count: keys.append(original(count)) or keys[-1])
    for _ in range(3):
        rounded_gaussian(10, STD, CPU)
    assert len(keys) >= 3
    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} == {32}


def test_uniforms_are_uniform_and_never_0_or_1() -> None:
    drawn = uniforms(200_000)
    assert kstest(drawn, "uniform").pvalue > LIKELY
    assert drawn.min() > 0
    assert drawn.max() < 1


def test_every_one_of_the_52_highest_bits_of_a_uniform_number_is_random() -> None:
    bits = np.floor(uniforms(1000) * 2.0**52).astype(np.uint64)
    ones = [int((bits >> np.uint64(place) & np.uint64(1)).sum()) for place in range(52)]
    assert all(350 < count < 650 for count in ones)  # 9.5 standard deviations of a fair bit


def test_the_ends_of_the_random_bits_are_never_0_or_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entropy, "random_bytes", lambda count: b"\x00" * (count // 2) + b"\xff" * (count // 2))
    low, high = uniforms(2)
    assert 0 < low < high < 1


@pytest.mark.parametrize("module", [noise, entropy])
def test_no_source_of_noise_takes_a_seed_or_a_generator(module: object) -> None:
    functions = [member for _, member in inspect.getmembers(module, inspect.isfunction)]
    assert functions
    names = {name for function in functions for name in inspect.signature(function).parameters}
    assert not {name for name in names if "seed" in name or "generator" in name or "rng" in name or "state" in name}


SEEDABLE = {
    "normal", "normal_", "randn", "randn_like", "standard_normal", "gauss", "normalvariate", "multivariate_normal",
    "default_rng", "RandomState", "Generator", "randint", "rand", "rand_like", "bernoulli", "bernoulli_", "laplace",
}  # fmt: skip


def called(path: Path) -> set[str]:
    """Return the last part of the name of everything that a module calls."""
    calls = [node.func for node in nodes(path) if isinstance(node, ast.Call)]
    return {
        call.attr if isinstance(call, ast.Attribute) else call.id
        for call in calls
        if isinstance(call, ast.Attribute | ast.Name)
    }


@pytest.mark.parametrize("package", ["privacy", "client"])
def test_nothing_else_at_a_site_draws_seedable_noise(package: str) -> None:
    paths = sorted((REPOSITORY / package).rglob("*.py"))
    assert len(paths) > 3
    guilty = {str(path): called(path) & SEEDABLE for path in paths}
    assert not {path: names for path, names in guilty.items() if names}
