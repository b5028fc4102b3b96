"""Define the base class of a task's outcomes: the results of a model on some examples, from which metrics are made."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from shared.metrics.bootstrap import Floats, Interval, Ints, Sums


@dataclass(frozen=True, kw_only=True)
class Outcome(ABC):
    """Results of a model on N examples, from which metrics and their intervals are computed.

    A subclass has one array for each kind of result, whose first axis is the N examples, or None instead of the array.
    ``labels`` are the run's labels, for a task that has labels. In all methods, ``resamples`` is the number of bootstrap
    resamples, ``confidence`` the coverage of their intervals, 0.5 to 1, and ``seed`` the seed of the resamples.
    """

    labels: tuple[str, ...] = ()
    right_or_wrong: ClassVar[bool] = False
    """Whether ``damage`` is 0 for a right example and 1 for a wrong one, so that hits can be counted."""

    @abstractmethod
    def primary(self) -> Sums:
        """Return the primary metric as sums over examples, so that two models can be compared example by example."""

    @abstractmethod
    def damage(self) -> Floats:
        """Return how wrong the model is on each example, (N,); more is worse."""

    def metrics(self, resamples: int, confidence: float, seed: int) -> Mapping[str, Interval]:
        """Return all metrics with bootstrap intervals, the primary metric first."""
        sums = self.primary()
        return {sums.name: sums.interval(resamples, confidence, seed)}

    def values(self) -> Mapping[str, float]:
        """Return the metrics that are compared between groups of examples, without intervals."""
        sums = self.primary()
        return {sums.name: sums.value()}

    def answers(self) -> Ints | None:
        """Return the number of the predicted label of each example, (N,); None if an example has no single label."""
        return None

    def breakdown(self, resamples: int, confidence: float, seed: int) -> dict[str, Any] | None:
        """Return scores by label as plain values for the report; None for a task without labels."""
        return None

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays by name, without those that are None; with the class and ``labels`` they restore the outcome."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}

    def where(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp] | npt.NDArray[np.int64]) -> Self:
        """Return the outcome on a part of the examples.

        Parameters
        ----------
        chosen
            A mask (N,), or the numbers of the chosen examples.
        """
        arrays: dict[str, Any] = {name: array[chosen] for name, array in self.arrays().items()}
        return replace(self, **arrays)


def joined(parts: Sequence[tuple[Sequence[int], Outcome]]) -> Outcome:
    """Join the outcomes on batches to the outcome on all N examples.

    Parameters
    ----------
    parts
        The numbers of the examples of each batch, 0 to N - 1, and its outcome.
    """
    order = np.argsort([place for places, _ in parts for place in places])
    names = parts[0][1].arrays()
    arrays: dict[str, Any] = {name: np.concatenate([part.arrays()[name] for _, part in parts])[order] for name in names}
    return replace(parts[0][1], **arrays)


def picked(outcomes: Sequence[Outcome], which: npt.NDArray[np.intp]) -> Outcome:
    """Combine several outcomes on the same examples by taking each example from one of them.

    Parameters
    ----------
    outcomes
        Outcomes on the same N examples.
    which
        The number of the chosen outcome for each example, (N,).
    """
    places = np.arange(len(which))
    names = outcomes[0].arrays()
    arrays: dict[str, Any] = {name: np.stack([each.arrays()[name] for each in outcomes])[which, places] for name in names}
    return replace(outcomes[0], **arrays)
