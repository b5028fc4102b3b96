"""Bound how well any attacker can tell whether a unit was in the training data, from the privacy guarantee."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from privacy.accounting import privacy_profile
from privacy.mechanism_event import MechanismEvent

FALSE_POSITIVE_RATES = (0.001, 0.01, 0.1)
EPSILONS = tuple(n / 100 for n in range(6001))  # each gives a valid bound; more of them give a tighter minimum


@dataclass(frozen=True)
class AttackRisk:
    """Upper bounds that hold for every membership attack, whatever the attacker knows and computes.

    Attributes
    ----------
    false_positive_rates
        Shares of absent units that the attack calls present.
    true_positive_rates
        For each of them, the largest possible share of present units that the attack calls present.
    advantage
        Largest possible difference between true and false positive rate, over all rates.
    """

    false_positive_rates: tuple[float, ...]
    true_positive_rates: tuple[float, ...]
    advantage: float


def attack_risk(events: Iterable[MechanismEvent], rates: Sequence[float] = FALSE_POSITIVE_RATES) -> AttackRisk:
    """Compute the hypothesis-testing bounds of all events composed, from their privacy profile delta(epsilon).

    Under an (epsilon, delta)-private mechanism, a test with false positive rate a has a true positive rate of at most
    ``e^epsilon a + delta`` and of at most ``1 - e^-epsilon (1 - delta - a)`` (Wasserman and Zhou 2010, arXiv 0811.2501). The
    minimum over all epsilons is the trade-off curve itself (Dong, Roth and Su 2022, arXiv 1905.02383, section 2.4; read as
    attack risk by Kulynych et al. 2024, arXiv 2407.02191). The minimum over finitely many epsilons is an upper bound.

    Parameters
    ----------
    events
        Mechanism events, in any order.
    rates
        False positive rates, 0 to 1.
    """
    profile = tuple(zip(EPSILONS, privacy_profile(events, EPSILONS), strict=True))
    return AttackRisk(tuple(rates), tuple(_limit(profile, rate) for rate in rates), profile[0][1])


def _limit(profile: Iterable[tuple[float, float]], rate: float) -> float:
    """Return the smallest bound on the true positive rate at one false positive rate."""
    bounds = (
        min(math.exp(epsilon) * rate + delta, 1 - math.exp(-epsilon) * (1 - delta - rate)) for epsilon, delta in profile
    )
    return min(1.0, *bounds)
