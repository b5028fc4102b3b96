"""Measure how well an attacker tells training data from other data by the losses of a finished adapter.

An outsider can find at least as much as this attack; if the attack finds nothing, that proves nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, norm, rankdata

Floats = npt.NDArray[np.float64]
RATES = (0.001, 0.01)  # false positive rates at which an attack is read
TAIL = (1 - 0.95) / 2  # chance that an interval lies above the truth, and that it lies below


@dataclass(frozen=True)
class Losses:
    """Losses of the same texts under the attacked adapter, the base model, and reference adapters, in nats.

    Attributes
    ----------
    target : array (n,)
        Under the attacked adapter.
    base : array (n,)
        Under the base model.
    references : array (k, n)
        Under adapters that the attacker trained without these texts, or with a random half of them; k may be 0.
    """

    target: Floats
    base: Floats
    references: Floats


@dataclass(frozen=True)
class Rate:
    """Share of present texts found at a false positive rate; ``low`` to ``high`` is a 95 % interval."""

    false_positive_rate: float
    true_positive_rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Attack:
    """One attack: the chance that a present text scores higher than an absent one, and how many it finds at low error."""

    auc: float
    auc_low: float
    auc_high: float
    rates: tuple[Rate, ...]
    present: int
    absent: int


def scores(losses: Losses, population: Losses) -> Mapping[str, Floats]:
    """Return each attack's scores, larger for texts that are more likely to have been trained on, (n,) each.

    ``loss``: the loss alone. ``loss less base``: how much training lowered it (LoRA-Leak, arXiv 2507.18302). ``rmia``: how
    often the likelihood rose more, against the references, than that of a text of the population (Zarifzadeh, Liu and Shokri
    2024, arXiv 2312.03262); only with references.

    Parameters
    ----------
    losses
        Of the texts in question.
    population
        Of other texts from the same source, which nobody trained on.
    """
    found = {"loss": -losses.target, "loss less base": losses.base - losses.target}
    if len(losses.references):
        ours, others = _risen(losses), np.sort(_risen(population))
        found["rmia"] = np.searchsorted(others, ours, side="right") / max(1, len(others)) + 1e-9 * ours
    return found


def _risen(losses: Losses) -> Floats:
    """Return log(p / mean p of the references): how much more likely the attacked adapter finds each text, (n,)."""
    mean = np.logaddexp.reduce(-losses.references, axis=0) - math.log(len(losses.references))
    risen: Floats = -losses.target - mean
    return risen


def attack(present: Floats, absent: Floats, rates: Sequence[float] = RATES) -> Attack:
    """Measure an attack by the scores of texts that were trained on and of texts that were not.

    A threshold for a false positive rate is exceeded by at most that share of the absent texts, so with fewer than 1 / rate
    of them it is exceeded by none.

    Parameters
    ----------
    present, absent : array
        Scores; larger means more likely present.
    rates
        False positive rates.
    """
    ranks = rankdata(np.concatenate([present, absent]))[: len(present)]
    auc = float((ranks.sum() - len(present) * (len(present) + 1) / 2) / (len(present) * len(absent)))
    error = _auc_error(auc, len(present), len(absent)) * float(norm.isf(TAIL))
    found = [_rate(present, absent, rate) for rate in rates]
    return Attack(auc, max(0.0, auc - error), min(1.0, auc + error), tuple(found), len(present), len(absent))


def _rate(present: Floats, absent: Floats, rate: float) -> Rate:
    allowed = math.floor(rate * len(absent))
    threshold = np.sort(absent)[::-1][allowed]
    called = int((present > threshold).sum())
    return Rate(rate, called / len(present), *clopper_pearson(called, len(present)))


def clopper_pearson(count: int, total: int, tail: float = TAIL) -> tuple[float, float]:
    """Return the exact interval of a share (Clopper and Pearson 1934), which misses it at each end with chance ``tail``."""
    low = float(beta.ppf(tail, count, total - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, total - count)) if count < total else 1.0
    return low, high


def _auc_error(auc: float, present: int, absent: int) -> float:
    """Return the standard error of an area under the curve (Hanley and McNeil 1982, doi 10.1148/radiology.143.1.7063747)."""
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (present - 1) * (one - auc**2) + (absent - 1) * (two - auc**2)
    return math.sqrt(max(0.0, variance) / (present * absent))
