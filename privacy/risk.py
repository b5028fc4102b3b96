"""What a guarantee means for an attacker: how often the best test can tell that a unit was in the training data."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from privacy.accounting import MechanismEvent, privacy_profile

FALSE_POSITIVE_RATES = (0.001, 0.01, 0.1)
EPSILONS = tuple(n / 100 for n in range(6001))  # every one gives a valid bound; more of them give a tighter one


@dataclass(frozen=True)
class AttackRisk:
    """Upper limits for every membership attack, whatever it knows and computes.

    ``true_positive_rates`` has, for each of ``false_positive_rates`` (share of absent units called present), the largest
    possible share of present units called present. ``advantage`` is the largest difference of the two over all rates.
    """

    false_positive_rates: tuple[float, ...]
    true_positive_rates: tuple[float, ...]
    advantage: float


def attack_risk(events: Iterable[MechanismEvent], rates: Sequence[float] = FALSE_POSITIVE_RATES) -> AttackRisk:
    """The hypothesis-testing limits of all events composed, from their whole privacy profile delta(epsilon).

    A mechanism that is (epsilon, delta)-private lets no test of false positive rate a have a true positive rate above
    ``e^epsilon a + delta`` or above ``1 - e^-epsilon (1 - delta - a)`` (Wasserman and Zhou 2010, arXiv 0811.2501); the
    least over all epsilon is the trade-off curve itself (Dong, Roth and Su 2022, arXiv 1905.02383, section 2.4; its
    reading as attack risk: Kulynych et al. 2024, arXiv 2407.02191). Over finitely many epsilon it is an upper bound.
    """
    profile = tuple(zip(EPSILONS, privacy_profile(events, EPSILONS), strict=True))
    return AttackRisk(tuple(rates), tuple(_limit(profile, rate) for rate in rates), profile[0][1])


def _limit(profile: Iterable[tuple[float, float]], rate: float) -> float:
    """The least bound on the true positive rate at one false positive rate."""
    bounds = (
        min(math.exp(epsilon) * rate + delta, 1 - math.exp(-epsilon) * (1 - delta - rate)) for epsilon, delta in profile
    )
    return min(1.0, *bounds)
