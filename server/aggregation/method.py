"""The interface of a method of aggregation: its input, its result, and the two kinds, streamed and collected."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from privacy.dp.plan import PrivacyPlan
from shared.adapters.state import AdapterState
from shared.config.aggregation import AggregationSection
from shared.errors import RunError

Memory = Mapping[str, AdapterState]  # what a method or an optimiser keeps from one round to the next, by name
MOST_BYTES = 8 << 30  # the largest size of all deltas that a collected method may hold at once


@dataclass(frozen=True)
class Setting:
    """What the aggregation of one round may depend on; none of it depends on the replies.

    Parameters
    ----------
    adapter
        The adapter that the round starts from.
    weights
        The public weight of each site of the run.
    section
        The run's choice of method and optimiser.
    plan
        The server's own privacy plan, where sites trust it to add the noise.
    memory
        What the aggregation kept at the end of the last committed round.
    ranks
        The public rank of each site of the run.
    """

    adapter: AdapterState
    weights: Mapping[str, float]
    section: AggregationSection
    plan: PrivacyPlan | None = None
    memory: Memory = field(default_factory=dict)
    ranks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Aggregate:
    """The result of a round's aggregation.

    Attributes
    ----------
    change
        The change of the adapter.
    memory
        The state for the next round's aggregation.
    lost
        The part of the wanted updates that no adapter of this rank can hold, as a share of their L2 norm; None where the
        method does not cut anything off.
    """

    change: AdapterState
    memory: Memory = field(default_factory=dict)
    lost: float | None = None


class Method(ABC):
    """A streamed method: it folds each delta as it arrives, so its memory does not grow with the number of sites.

    The result must not depend on the order of the deltas: the sites of a real fleet answer in another order each time.
    """

    @abstractmethod
    def __init__(self, setting: Setting) -> None:
        """Begin a round."""

    @abstractmethod
    def fold(self, delta: AdapterState, weight: float) -> None:
        """Take in the delta of one site, which has passed screening, with the site's public weight."""

    @abstractmethod
    def result(self) -> Aggregate:
        """Return the aggregate of all deltas so far. Call once."""


class Collected(Method):
    """A method that needs all deltas at once, so it keeps them until the round ends.

    Raises
    ------
    RunError
        The deltas of all sites would take more than 8 GiB.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self._deltas: list[AdapterState] = []
        self._weights: list[float] = []
        needed = 4 * setting.adapter.parameters * len(setting.weights)
        if needed > MOST_BYTES:
            raise RunError(
                f"aggregation.method = '{setting.section.method}': keeps the deltas of {len(setting.weights)} sites, "
                f"{needed / 2**30:.1f} GiB, of at most {MOST_BYTES >> 30}; set method = 'mean', or train a smaller adapter"
            )

    def fold(self, delta: AdapterState, weight: float) -> None:
        """Keep the delta of one site until the round ends."""
        self._deltas.append(delta)
        self._weights.append(weight)

    def result(self) -> Aggregate:
        """Return the aggregate of all deltas."""
        return self.combine(self._deltas, self._weights)

    @abstractmethod
    def combine(self, deltas: Sequence[AdapterState], weights: Sequence[float]) -> Aggregate:
        """Combine the deltas of a round, with a public weight for each, into the change of the adapter."""
