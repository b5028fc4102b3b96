"""Attacks on the low bits of what leaves a site or a server; each succeeded when noise was float32."""

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from privacy.dp.central import NoisedSum
from privacy.dp.engine import make_private
from privacy.dp.plan import PrivacyPlan
from privacy.dp.release import release_label_counts, release_sums
from shared.adapters.state import AdapterState
from shared.config.data_stage import BalanceSection
from shared.config.privacy import PrivacySection

PRIVACY = PrivacySection(release="metrics", release_noise=60.0)
SPREAD = 400  # candidates on each side that an attacker tries
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def trailing_zeros(values: Floats) -> Floats:
    """Count the zero bits at the end of each float64's 52 bits of fraction; a float32 has at least 29 of them."""
    bits = np.abs(values).view(np.int64) & ((1 << 52) - 1)
    lowest = np.where(bits == 0, 1 << 52, bits & -bits)
    return np.log2(lowest.astype(np.float64))


def most_like_noise(release: float, candidates: Floats, scale: float) -> int:
    """Return the candidate sum that leaves the coarsest number when it is taken off a release: an attacker's best guess.

    The release was divided and multiplied by ``scale``, so a few neighbouring float64 are tried.
    """
    left = release / scale - candidates / scale
    around = left[:, None] + np.spacing(np.abs(left))[:, None] * np.arange(-4, 5)
    coarse = trailing_zeros(around.ravel()).reshape(around.shape).max(axis=1)
    return int(candidates[coarse.argmax()])


@pytest.mark.slow
def test_the_record_count_and_the_hits_of_a_reply_are_not_in_its_low_bits() -> None:
    found = {"records": 0, "hits": 0}
    trials, generator = 1000, np.random.default_rng(5)
    for _ in range(trials):
        records = int(generator.integers(500, 900))
        hits = (np.arange(records) < generator.integers(100, 400)).astype(float)
        reply = release_sums(np.full(records, 1.0), hits, PRIVACY)
        for name, truth in (("records", records), ("hits", int(hits.sum()))):
            value = getattr(reply, name)
            candidates = np.arange(max(0, math.floor(value) - SPREAD), math.floor(value) + SPREAD, dtype=float)
            found[name] += most_like_noise(value, candidates, math.sqrt(3)) == truth
    # A guess among 800 candidates is right some 5 times in 1,000; the noise's own shape helps a little.
    assert max(found.values()) <= 20, found


@pytest.mark.slow
def test_500_records_and_501_are_told_apart_no_oftener_than_epsilon_allows() -> None:
    trials, right, generator = 1000, 0, np.random.default_rng(6)  # with float32 noise 93 % are right
    for _ in range(trials):
        records = int(generator.choice([500, 501]))
        value = release_sums(np.ones(records), None, PRIVACY).records
        right += most_like_noise(value, np.array([500.0, 501.0]), math.sqrt(2)) == records
    assert right / trials <= 0.5 + 0.03 + 5 * 0.5 / math.sqrt(trials)  # epsilon 0.06: at most 1.5 points above chance


def test_label_counts_are_not_narrowed_down_by_the_last_bit_of_their_release() -> None:
    """An attacker knows how many units there are, and keeps the counts that leave a float32 on either label."""
    trials, right, generator = 1000, 0.0, np.random.default_rng(7)
    counts = np.arange(0.0, 601.0)
    for _ in range(trials):
        labels = np.eye(2)[(np.arange(600) < generator.integers(100, 500)).astype(int)]
        released = release_label_counts(labels, BalanceSection(weights="counts", count_noise=60.0))
        left = [released[label] - known for label, known in ((1, counts), (0, 600 - counts))]
        possible = np.logical_and.reduce([rest == rest.astype(np.float32) for rest in left])
        if possible[int(labels[:, 1].sum())]:
            right += 1 / possible.sum()
    assert right <= 20


def test_whether_a_site_was_in_a_servers_sum_does_not_show_in_its_low_bits() -> None:
    """The attacker knows every delta and looks at coordinates that came out far smaller than the noise on them."""
    size, sites, rounds, right = 500, 60, 1000, 0
    plan = PrivacyPlan(1.0, 4.0, 1.0, 1, 1, 1e-4, sites, unit="site", trust="central")
    generator = np.random.default_rng(8)
    deltas = [generator.normal(size=size).astype(np.float32) / 25 for _ in range(sites)]
    others = NoisedSum((("a", (size,)),), plan)
    for delta in deltas[1:]:
        others.fold(AdapterState({"a": delta}))
    known = _sum_of(deltas), _sum_of(deltas[1:])
    for _ in range(rounds):
        was_in, total = bool(generator.integers(2)), deepcopy(others)
        if was_in:
            total.fold(AdapterState({"a": deltas[0]}))
        published = total.result().arrays["a"].astype(np.float64) * sites
        right += (_is_explained(published, known[0]) > _is_explained(published, known[1])) == was_in
    assert abs(right / rounds - 0.5) <= 5 * 0.5 / math.sqrt(rounds)


def _sum_of(deltas: list[np.ndarray]) -> Floats:  # type: ignore[type-arg]
    norms = [AdapterState({"a": delta}).norm for delta in deltas]
    return np.sum([delta * np.float64(min(1.0, 1.0 / norm)) for delta, norm in zip(deltas, norms, strict=True)], axis=0)


def _is_explained(published: Floats, known: Floats) -> float:
    """Score a guess at the sum: how many of the small published numbers leave a float32 when the guess is taken off."""
    rest = published - known
    small = np.abs(published) < np.abs(rest) / 8
    off = np.abs(rest[small] - rest[small].astype(np.float32))
    return float(np.mean(off < np.spacing(published[small].astype(np.float32)))) if small.any() else 0.0


@pytest.mark.slow
def test_whether_a_record_was_in_a_step_does_not_show_in_the_low_bits_of_its_gradient() -> None:
    """The attacker knows all records; where a released number is small beside the sum, float32 subtraction is exact."""
    size, records, trials, right = 400, 60, 1000, 0
    generator, coin = torch.Generator().manual_seed(3), np.random.default_rng(1)
    rows = torch.nn.functional.normalize(torch.randn(records, size, generator=generator)) * 0.4  # below C
    plan = PrivacyPlan(0.5, 4.0, 0.5, 1, 1, 1e-4, 256)  # divides by a power of two
    chosen = {was_in: rows[0 if was_in else 1 :] for was_in in (True, False)}
    sums = {  # in the order of the step's own sum: its last bit matters
        was_in: torch.einsum("i,i...", torch.ones(len(each)), each[:, None])[0].double().numpy()
        for was_in, each in chosen.items()
    }
    layer = nn.Linear(size, 1, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    with make_private(layer, optimizer, plan, plan.expected_batch) as (lent, step):
        for was_in in coin.integers(2, size=trials).astype(bool).tolist():
            layer.weight.data.zero_()
            lent(chosen[was_in]).sum().backward()
            step.accumulate()
            step.finish()
            released = -layer.weight.detach()[0].double().numpy() * plan.expected_batch
            fits = {}
            for guess, known in sums.items():
                rest = released - known
                small = np.abs(released) < np.abs(rest) / 2
                fits[guess] = np.mean(rest[small] == rest[small].astype(np.float32))
            right += (fits[True] > fits[False]) == was_in
    assert abs(right / trials - 0.5) <= 5 * 0.5 / math.sqrt(trials)
