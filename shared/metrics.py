"""Measures of a model, each with an interval."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A measured value with the lower and upper end of its confidence interval."""

    value: float
    low: float
    high: float
