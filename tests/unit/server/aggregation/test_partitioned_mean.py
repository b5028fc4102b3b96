"""Sites of mixed ranks: the mean by columns against the definition in float64, and what noise covers."""

from collections.abc import Mapping, Sequence
from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from silence import silence

from privacy.dp.plan import PrivacyPlan
from server.aggregation import Setting, begin
from shared.adapters.ranks import cut, widened
from shared.adapters.state import AdapterState
from shared.config.aggregation import AggregationSection
from shared.seeds import signs

B, HEAD = "encoder.lora_B.default.weight", "head.weight"
WHOLE, D_IN, D_OUT = 8, 12, 5
SECTION = AggregationSection(method="partitioned_mean")


def delta(rank: int, seed: int) -> AdapterState:
    random = np.random.default_rng(seed)
    arrays = {B: random.normal(size=(D_OUT, rank)), HEAD: random.normal(size=(2, 3))}
    return AdapterState({name: array.astype(np.float32) for name, array in arrays.items()})


def aggregated(deltas: Sequence[AdapterState], weights: Sequence[float]) -> Mapping[str, npt.NDArray[np.float32]]:
    named = {str(number): weight for number, weight in enumerate(weights)}
    method = begin(Setting(delta(WHOLE, 0), named, SECTION))
    for each, weight in zip(deltas, weights, strict=True):
        method.fold(each, weight)
    return method.result().change.arrays


@given(st.lists(st.tuples(st.integers(1, WHOLE), st.floats(0.1, 1e4)), min_size=1, max_size=6), st.randoms())
def test_the_update_that_is_applied_is_the_mean_of_each_row_over_the_sites_that_train_it(
    sites: list[tuple[int, float]], random: Random
) -> None:
    deltas = [delta(rank, seed) for seed, (rank, _) in enumerate(sites)]
    a = signs((WHOLE, D_IN), 3, "lora_A", "x").astype(np.float64)
    wanted = np.zeros((D_OUT, D_IN))
    for row in range(WHOLE):
        owners = [(each.arrays[B][:, row], weight) for each, (rank, weight) in zip(deltas, sites, strict=True) if rank > row]
        for column, weight in owners:
            share = weight / sum(own for _, own in owners)
            wanted += share * np.outer(column.astype(np.float64), a[row])
    found = aggregated(deltas, [weight for _, weight in sites])
    np.testing.assert_allclose(found[B].astype(np.float64) @ a, wanted, rtol=1e-5, atol=1e-5)
    heads = np.average([each.arrays[HEAD].astype(np.float64) for each in deltas], axis=0, weights=[w for _, w in sites])
    np.testing.assert_allclose(found[HEAD], heads, rtol=1e-5, atol=1e-6)
    shuffled = [*zip(deltas, sites, strict=True)]
    random.shuffle(shuffled)
    again = aggregated([each for each, _ in shuffled], [weight for _, (_, weight) in shuffled])
    assert all(np.array_equal(found[name], again[name]) for name in found)


def test_sites_of_one_rank_get_the_plain_mean_bit_for_bit() -> None:
    deltas, weights = [delta(WHOLE, seed) for seed in range(3)], [1.0, 2.5, 4.0]
    plain = begin(Setting(delta(WHOLE, 0), {str(n): w for n, w in enumerate(weights)}, AggregationSection()))
    for each, weight in zip(deltas, weights, strict=True):
        plain.fold(each, weight)
    wanted = plain.result().change.arrays
    assert all(np.array_equal(wanted[name], array) for name, array in aggregated(deltas, weights).items())


def test_padding_with_zeros_would_shrink_the_columns_that_few_sites_have() -> None:
    deltas = [delta(2, 0), delta(2, 1), delta(WHOLE, 2)]
    padded = np.mean([widened(each, deltas[2].spec).arrays[B] for each in deltas], axis=0)
    found = aggregated(deltas, [1.0] * 3)[B]
    np.testing.assert_allclose(found[:, 2:], 3 * padded[:, 2:], rtol=1e-6)
    np.testing.assert_allclose(found[:, :2], padded[:, :2], rtol=1e-6)


def test_a_column_that_no_site_sent_does_not_change() -> None:
    found = aggregated([delta(3, 0), delta(2, 1)], [1.0, 1.0])[B]
    assert found.shape == (D_OUT, WHOLE)
    assert not found[:, 3:].any()
    assert found[:, :3].all()


def test_the_fixed_factor_of_a_lower_rank_is_the_first_rows_of_the_larger_one() -> None:
    for d_in in (7, 12, 32):  # also where a row is no whole number of bytes
        whole = signs((WHOLE, d_in), 5, "lora_A", "layer")
        assert all(np.array_equal(signs((rank, d_in), 5, "lora_A", "layer"), whole[:rank]) for rank in range(1, WHOLE))


def test_cutting_and_widening_keep_what_both_ranks_have() -> None:
    whole = delta(WHOLE, 1)
    lower = cut(whole, 3)
    assert lower.arrays[B].shape == (D_OUT, 3)
    np.testing.assert_array_equal(widened(lower, whole.spec).arrays[B][:, :3], whole.arrays[B][:, :3])
    assert widened(lower, whole.spec).norm == pytest.approx(lower.norm, rel=1e-12)  # so widening needs no other clipping
    assert widened(lower, whole.spec).spec == whole.spec


PLAN = PrivacyPlan(0.5, 2.0, 1.5, 1, 3, 1e-4, 4, unit="site", trust="central")
RANKS = {"a": 2, "b": 2, "c": 4, "d": WHOLE}


def central(deltas: Sequence[AdapterState]) -> npt.NDArray[np.float32]:
    method = begin(Setting(delta(WHOLE, 0), dict.fromkeys(RANKS, 1.0), SECTION, PLAN, ranks=RANKS))
    for each in deltas:
        method.fold(each, 1.0)
    found: npt.NDArray[np.float32] = method.result().change.arrays[B]
    return found


def test_a_trusted_server_divides_by_the_ranks_of_the_run_whoever_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    silence(monkeypatch)
    small = AdapterState({name: 0.01 * array for name, array in delta(WHOLE, 3).arrays.items()})  # below the norm
    divisors = PLAN.sampling_rate * np.array([4, 4, 2, 2, 1, 1, 1, 1])
    wanted = small.arrays[B] / divisors
    np.testing.assert_allclose(central([small]), wanted, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(central([small, small]), 2 * wanted, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(central([cut(small, 2)])[:, :2], wanted[:, :2], rtol=1e-5, atol=1e-9)


def test_one_site_moves_the_noised_sum_by_at_most_the_clipping_norm_whatever_its_rank(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silence(monkeypatch)
    divisors = PLAN.sampling_rate * np.array([4, 4, 2, 2, 1, 1, 1, 1])
    for rank in (1, 4, WHOLE):
        large = AdapterState({name: 100 * array for name, array in delta(rank, rank).arrays.items()})
        assert np.linalg.norm(central([large]) * divisors) <= PLAN.clipping_norm * (1 + 1e-6)


def test_columns_that_few_sites_have_get_more_noise() -> None:
    method = begin(Setting(big(), dict.fromkeys(RANKS, 1.0), SECTION, PLAN, ranks=RANKS))
    spread = method.result().change.arrays[B].std(axis=0)  # no site answered: noise alone
    wanted = PLAN.noise_multiplier * PLAN.clipping_norm / (PLAN.sampling_rate * np.array([4, 4, 2, 2, 1, 1, 1, 1]))
    np.testing.assert_allclose(spread, wanted, rtol=0.1)


def big() -> AdapterState:
    return AdapterState({B: np.zeros((4000, WHOLE), np.float32), HEAD: np.zeros((2, 3), np.float32)})
