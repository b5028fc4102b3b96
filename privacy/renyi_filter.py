"""What runs cost together when each may have been chosen after the results of the ones before: a Renyi filter.

Composition by privacy loss distributions is proved for plans that are fixed in advance. Whoever sees the first run's
model before choosing the second run's plan is outside of that proof, and the natural rule "compose what was chosen, stop
at the limit" fails for such distributions in general (Tran, Koskela, Raisa and Honkela 2026, arXiv 2602.06756). Renyi
divergence of a fixed order does not have that gap (Feldman and Zrnic 2021, arXiv 2008.11193; Lecuyer 2021, arXiv
2103.01379), so the limit over runs is kept by it.

An accountant's epsilon, the least over all orders, is no such filter: an adversary of two steps, who lets what was seen
decide which order will pass, gets up to twice the delta (``tests/unit/privacy/test_renyi_filter.py``). So this module
divides delta among the orders.
"""

import math
from collections import Counter
from collections.abc import Iterable

from privacy.accounting import SAMPLING_LOSS, MechanismEvent, check_delta

# Fixed once and for all, whatever is spent and whatever the limit is: the proof below needs that. Whole numbers, so that
# the divergence is a finite sum; the spacing costs at most a few per cent of epsilon against trying every order.
ORDERS = (2, 3, 4, 6, 9, 14, 22, 36)


def filter_epsilon(events: Iterable[MechanismEvent], target_delta: float) -> float:
    """Return the smallest epsilon at which the filter lets these events pass; 0 when nothing was released.

    The filter passes at (epsilon, delta) when, for at least one order a of ``ORDERS``, the sum R_a of the events' Renyi
    divergences of order a is so small that R_a + log(1 - 1/a) - log(a d) / (a - 1) <= epsilon, where d is delta divided by
    the number of orders (the conversion is Canonne, Kamath and Steinke 2020, arXiv 2004.00010).

    Why this holds for any adaptive choice, of the events and of when to stop. Take two neighbouring datasets, and let L be
    the log likelihood ratio of all that was released. For each order a, exp((a - 1) (L - R_a)) starts at 1 and does not
    grow in expectation with any event, by the definition of the divergence, whoever chose the event and from whatever was
    seen: it is a supermartingale, so its mean is at most 1 at the end. The release is (epsilon, delta) private if the mean
    of max(0, 1 - exp(epsilon - L)) is at most delta. At every point max(0, 1 - exp(epsilon - L)) is at most
    exp((a - 1) (L - epsilon)) (a - 1)^(a - 1) / a^a, which is at most d exp((a - 1) (L - R_a)) for an order a that passed.
    Which order passed may depend on what was seen; so the bound is the sum over all orders, whose mean is at most d times
    their number: delta. This is why delta is divided, and why one limit may be checked with many orders.

    Drawn noise is not exactly a rounded Gaussian, which `SAMPLING_LOSS` adds to the divergence of each sum, of every order.

    The figure depends on the events and on delta alone. So when a limit is raised, the highest limit ever set is kept.

    Parameters
    ----------
    events : mechanism events, in any order
    target_delta : delta of the whole interaction, above 0 and below 1

    Raises
    ------
    PrivacyError
        ``target_delta`` is not between 0 and 1.
    """
    check_delta(target_delta)
    steps: Counter[tuple[float, float]] = Counter()
    for event in events:
        steps[event.sampling_rate, event.noise_multiplier] += event.steps
    if not steps:
        return 0.0
    sums = (sum(count * renyi_divergence(*kind, order) for kind, count in steps.items()) for order in ORDERS)
    return epsilon_of(tuple(sums), target_delta) + SAMPLING_LOSS * steps.total()


def epsilon_of(divergences: tuple[float, ...], target_delta: float) -> float:
    """Return the smallest epsilon at which sums of divergences, one for each of ``ORDERS``, pass the filter."""
    each = math.log(target_delta / len(ORDERS))
    passing = (
        divergence + math.log1p(-1 / order) - (each + math.log(order)) / (order - 1)
        for order, divergence in zip(ORDERS, divergences, strict=True)
    )
    return max(0.0, min(passing))


def renyi_divergence(sampling_rate: float, noise_multiplier: float, order: int) -> float:
    """Return the Renyi divergence of one Gaussian sum over a Poisson sample, for adding or removing one unit.

    Of the two directions the one returned is the larger (Mironov, Talwar and Zhang 2019, arXiv 1908.10530); for a whole
    order it is the logarithm of a binomial sum, divided by order - 1.
    """
    if sampling_rate == 1:
        return order / (2 * noise_multiplier**2)
    logs = [
        math.log(math.comb(order, k))
        + k * math.log(sampling_rate)
        + (order - k) * math.log1p(-sampling_rate)
        + k * (k - 1) / (2 * noise_multiplier**2)
        for k in range(order + 1)
    ]
    largest = max(logs)
    return max(0.0, largest + math.log(math.fsum(math.exp(log - largest) for log in logs))) / (order - 1)
