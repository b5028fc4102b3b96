"""Count several runs together when each may have been chosen after the results of earlier ones: a Renyi filter.

Composition by privacy loss distributions is proved for plans that are fixed in advance. That proof does not cover a second
run whose plan was chosen after its author saw the model of the first run. The natural rule "compose what was chosen, stop at
the limit" fails for such distributions in general (Tran, Koskela, Raisa and Honkela 2026, arXiv 2602.06756). Renyi
divergence of a fixed order does not have this gap (Feldman and Zrnic 2021, arXiv 2008.11193; Lecuyer 2021, arXiv
2103.01379), so it keeps the limit over several runs.

The epsilon of an ordinary Renyi accountant, the minimum over all orders, is not such a filter: an adversary who lets the
result of one step decide which order the next step will pass can reach up to twice the delta
(``tests/unit/privacy/test_renyi_filter.py``). This module therefore divides delta among the orders.
"""

import math
from collections.abc import Iterable

from privacy.mechanism_event import MechanismEvent
from privacy.privacy_loss import SAMPLING_LOSS, check_delta, counted

# The orders are fixed, whatever is spent and whatever the limit is, because the proof below needs that. They are integers,
# so that the divergence is a finite sum. Compared with trying every order, the spacing costs at most a few per cent of
# epsilon.
ORDERS = (2, 3, 4, 6, 9, 14, 22, 36)


def filter_epsilon(events: Iterable[MechanismEvent], target_delta: float) -> float:
    """Return the smallest epsilon at which the filter lets these events pass; 0 if there are no events.

    The filter passes at (epsilon, delta) if, for at least one order a of ``ORDERS``, the sum R_a of the events' Renyi
    divergences of order a satisfies R_a + log(1 - 1/a) - log(a d) / (a - 1) <= epsilon, where d is delta divided by the
    number of orders (conversion by Canonne, Kamath and Steinke 2020, arXiv 2004.00010).

    Proof for any adaptive choice of the events and of the time to stop. Take two neighbouring datasets, and let L be the log
    likelihood ratio of everything released. For each order a, exp((a - 1) (L - R_a)) starts at 1, and by the definition of
    the divergence no event increases its expectation, whoever chose the event and from whatever was seen. It is a
    supermartingale, so its mean at the end is at most 1. The release is (epsilon, delta) private if the mean of max(0, 1 -
    exp(epsilon - L)) is at most delta. Everywhere, max(0, 1 - exp(epsilon - L)) is at most exp((a - 1) (L - epsilon)) (a -
    1)^(a - 1) / a^a, and for an order a that passed this is at most d exp((a - 1) (L - R_a)). Which order passed may depend
    on what was seen, so the bound is the sum over all orders, and its mean is at most d times their number, which is delta.
    This is why delta is divided, and why many orders may be used to check one limit.

    Drawn noise is not exactly a rounded Gaussian; `SAMPLING_LOSS` adds this error to the divergence of each sum, at each
    order.

    The figure depends only on the events and on delta. Hence, if a limit is raised, the highest limit ever set is kept.

    Parameters
    ----------
    events
        Mechanism events, in any order.
    target_delta
        Delta of the whole interaction, above 0 and below 1.

    Returns
    -------
    float
        Epsilon, 0 or more.

    Raises
    ------
    PrivacyError
        ``target_delta`` is not above 0 and below 1.
    """
    check_delta(target_delta)
    counts = counted(events)
    if not counts:
        return 0.0
    sums = (sum(count * renyi_divergence(*step, order) for step, count in counts.items()) for order in ORDERS)
    return passing_epsilon(tuple(sums), target_delta) + SAMPLING_LOSS * counts.total()


def passing_epsilon(divergences: tuple[float, ...], target_delta: float) -> float:
    """Return the smallest epsilon at which sums of Renyi divergences pass the filter.

    Parameters
    ----------
    divergences
        Sum of the divergences for each of ``ORDERS``.
    target_delta
        Delta of the whole interaction, above 0 and below 1.
    """
    each = math.log(target_delta / len(ORDERS))
    passing = (
        divergence + math.log1p(-1 / order) - (each + math.log(order)) / (order - 1)
        for order, divergence in zip(ORDERS, divergences, strict=True)
    )
    return max(0.0, min(passing))


def renyi_divergence(sampling_rate: float, noise_multiplier: float, order: int) -> float:
    """Return the Renyi divergence of one Gaussian sum over a Poisson sample, for adding or removing one unit.

    It is the larger one of the two directions (Mironov, Talwar and Zhang 2019, arXiv 1908.10530). For an integer order it is
    the logarithm of a binomial sum, divided by order - 1.

    Parameters
    ----------
    sampling_rate
        Probability q of each unit to be in the sum, above 0 and at most 1.
    noise_multiplier
        Standard deviation of the noise / sensitivity.
    order
        Integer order, 2 or more.
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
