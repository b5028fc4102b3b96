"""What a model did on some examples: the base class of each task's own outcome."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from shared.metrics.bootstrap import Floats, Interval, Ints, Sums


@dataclass(frozen=True, kw_only=True)
class Outcome(ABC):
    """What a model did on N examples; metrics and their intervals are made from it.

    A subclass has one array for each fact, whose first axis is the N examples; an array may be None. ``labels`` are those of
    the run, for a task that has labels.
    """

    labels: tuple[str, ...] = ()
    right_or_wrong: ClassVar[bool] = False
    """Whether ``damage`` is 0 for a right example and 1 for a wrong one, so that hits can be counted."""

    @abstractmethod
    def primary(self) -> Sums:
        """Return the primary metric as sums over examples, so that two models can be compared example by example."""

    @abstractmethod
    def damage(self) -> Floats:
        """Return how badly the model does on each example, (N,); more is worse."""

    def metrics(self, resamples: int, confidence: float, seed: int) -> Mapping[str, Interval]:
        """Return all metrics with bootstrap intervals, the primary metric first.

        Parameters
        ----------
        resamples
            Number of bootstrap resamples.
        confidence
            Coverage of the intervals, 0.5 to 1.
        seed
            Seed of the resamples.
        """
        sums = self.primary()
        return {sums.name: sums.interval(resamples, confidence, seed)}

    def values(self) -> Mapping[str, float]:
        """Return the metrics that are compared between groups of examples, without intervals."""
        sums = self.primary()
        return {sums.name: sums.value()}

    def answers(self) -> Ints | None:
        """Return the number of the label that each example was given, (N,); None where an example has no single label."""
        return None

    def breakdown(self, resamples: int, confidence: float, seed: int) -> dict[str, Any] | None:
        """Return scores by label as plain values for the report; None for a task without labels.

        Parameters
        ----------
        resamples
            Number of bootstrap resamples.
        confidence
            Coverage of the intervals, 0.5 to 1.
        seed
            Seed of the resamples.
        """
        return None

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays by name, without those that are None; the class and ``labels`` with them give the outcome."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}

    def where(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp] | npt.NDArray[np.int64]) -> Self:
        """Return the outcome on some of the examples.

        Parameters
        ----------
        chosen
            A mask (N,), or the places of the chosen examples.
        """
        arrays: dict[str, Any] = {name: array[chosen] for name, array in self.arrays().items()}
        return replace(self, **arrays)


def joined(parts: Sequence[tuple[Sequence[int], Outcome]]) -> Outcome:
    """Return the outcome on N examples from the outcomes on batches of them.

    Parameters
    ----------
    parts
        The outcome on each batch, with the places of its examples in 0 to N - 1.
    """
    order = np.argsort([place for places, _ in parts for place in places])
    names = parts[0][1].arrays()
    arrays: dict[str, Any] = {name: np.concatenate([part.arrays()[name] for _, part in parts])[order] for name in names}
    return replace(parts[0][1], **arrays)


def picked(outcomes: Sequence[Outcome], which: npt.NDArray[np.intp]) -> Outcome:
    """Return, for each example, what one of several outcomes on the same examples has.

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
