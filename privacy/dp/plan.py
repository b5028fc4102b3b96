"""Define the privacy plan: one immutable object that fixes both what a site runs and what its accountant charges."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Literal, Self, get_args

from privacy.accounting import Accountant
from privacy.calibration import LARGEST_NOISE, SMALLEST_NOISE
from privacy.dp.mechanism import Mechanism, grid_of
from privacy.dp.release import SHARE_BOUND
from privacy.mechanism_event import MechanismEvent, Purpose
from privacy.secagg.noise_shares import NoiseShares
from privacy.secagg.shared_plan import SharedNoise
from shared.config.privacy import PrivacySection, default_delta
from shared.errors import PrivacyError
from shared.ops.canonical_json import json_digest

ClippingMode = Literal["flat", "automatic", "per-layer", "adaptive"]
Relation = Literal["add-or-remove-one"]
COUNT_BOUND = 0.5  # how far one unit moves the count of adaptive clipping
LARGEST_COUNT_NOISE = 1000.0  # so that the count's noise multiplier, twice this number, is below LARGEST_NOISE
COUNT_SHARE = 1 / 20  # noise of adaptive clipping's count, in expected batches (Andrew et al. 2021, arXiv 1905.03871)


@dataclass(frozen=True)
class PrivacyPlan:
    """DP-SGD at one site (Abadi et al. 2016, arXiv 1607.00133), or site-level privacy by the server, for a whole run.

    Formal guarantee: everything that the site sends in ``rounds`` rounds is together (``epsilon()``, ``target_delta``)
    differentially private for adding or removing one ``unit`` of its training data, against everybody and whatever else they
    know, provided that the sampling and the noise stay secret at the site.

    Under trust ``distributed`` everything that leaves the site is its part of a secure sum. The guarantee is against a
    server that works together with up to ``shared.colluders`` other sites, and rests on the noise of the others
    (`privacy.secagg.noise_shares`). All sites of the run have one plan: ``declared_size`` is the size of the largest site,
    from which the delta follows, and ``rounds`` is the number of attempts that may be charged, spare ones included.

    Under trust ``central`` the units are whole sites: ``declared_size`` is their number, a round is one step, C bounds a
    site's delta, and the guarantee covers what the server publishes, against everybody except the server.

    None of the numbers depends on the private records.

    Attributes
    ----------
    sampling_rate
        q, the public probability of each unit to be in a step.
    noise_multiplier
        z, the standard deviation of the noise on everything that a step releases, divided by how far one unit can move that
        (`Mechanism.sensitivity`: C plus what rounding adds).
    clipping_norm
        C, the L2 bound of one unit's gradient.
    steps_per_round
        Optimiser steps of one round.
    rounds
        Rounds of the run, or under trust ``distributed`` attempts at rounds.
    target_delta
        Delta of the guarantee, below 1 / declared_size.
    declared_size
        Public number of units; q x declared_size is the divisor.
    releases
        Further releases of each round, such as noised metrics.
    clipping
        The way of clipping (`privacy.dp.clipping`).
    unit
        Privacy unit.
    relation
        Neighbouring relation.
    trust
        Who adds the noise: the site (``local``), all sites together (``distributed``) or the server (``central``).
    shared
        What the sites share under trust ``distributed``; else None.
    """

    sampling_rate: float
    noise_multiplier: float
    clipping_norm: float
    steps_per_round: int
    rounds: int
    target_delta: float
    declared_size: int
    releases: tuple[MechanismEvent, ...] = ()
    clipping: ClippingMode = "flat"
    unit: Literal["record", "person", "site"] = "record"
    relation: Relation = "add-or-remove-one"
    trust: Literal["local", "distributed", "central"] = "local"
    shared: SharedNoise | None = None

    def __post_init__(self) -> None:
        if self.clipping not in get_args(ClippingMode) or self.relation not in get_args(Relation):
            raise PrivacyError(
                f"plan: clipping '{self.clipping}', relation '{self.relation}': clipping is one of "
                f"{', '.join(get_args(ClippingMode))}, and epsilon is known for relation 'add-or-remove-one' only"
            )
        if not 0 < self.clipping_norm < math.inf:
            raise PrivacyError(f"clipping norm {self.clipping_norm}: must be above 0 and finite")
        if (self.trust == "distributed") != (self.shared is not None):
            raise PrivacyError("privacy plan: sites share a noise exactly under trust 'distributed'; report this as a bug")
        if self.shared and (self.steps_per_round != 1 or self.releases or self.clipping == "adaptive"):
            raise PrivacyError(
                "privacy plan: under trust 'distributed' a round is one step, and its only release is the sum; make the "
                "plan with plan_for_site"
            )
        if self.rounds < 1:
            raise PrivacyError(f"rounds {self.rounds}: must be at least 1")
        if not 0 < self.target_delta < 1 / self.declared_size:
            raise PrivacyError(
                f"privacy.target_delta = {self.target_delta!r}: must be below 1 / declared_size = "
                f"{1 / self.declared_size:g}, otherwise publishing one whole {self.unit} would be allowed; lower it"
            )
        if self.expected_batch < 1:
            raise PrivacyError(
                f"{'training.sampling_rate' if self.trust != 'central' else 'privacy.site_rate'} = {self.sampling_rate}: "
                f"expects {self.expected_batch:g} of {self.declared_size} {self.unit}s per step; raise it to at least "
                f"{math.ceil(1e4 / self.declared_size) / 1e4:.4f}"
            )
        for name, noise in self._noises():
            if not SMALLEST_NOISE <= noise <= LARGEST_NOISE:
                raise PrivacyError(
                    f"noise multiplier {noise!r} of the {name}: must be from {SMALLEST_NOISE} to {LARGEST_NOISE:g}; change "
                    "privacy.epsilon, or the noise of that release"
                )

    def _noises(self) -> Iterator[tuple[str, float]]:
        """Yield every noise multiplier that the plan draws, with its purpose."""
        yield from ((event.purpose, event.noise_multiplier) for event in self.events)
        yield "gradient sum", self.gradient_noise
        if self.clipping == "adaptive":
            yield "count of adaptive clipping", self.count_noise / COUNT_BOUND

    @property
    def expected_batch(self) -> float:
        """Return the public divisor of a step's gradient sum, in units: q x declared_size."""
        return self.sampling_rate * self.declared_size

    @property
    def count_noise(self) -> float:
        """Return the standard deviation of the noise on adaptive clipping's count, which one unit moves by at most 1/2."""
        return max(min(COUNT_SHARE * self.expected_batch, LARGEST_COUNT_NOISE), self.noise_multiplier)

    def mechanism(self, dimension: int, slack: float = 0.0) -> Mechanism:
        """Return the mechanism that releases the gradient sum of a step.

        Parameters
        ----------
        dimension
            Number of trained parameters.
        slack
            How far rounding moves the sum of the other units when one unit joins, as a share of C (`rounding_slack`).

        Raises
        ------
        PrivacyError
            The sites share the noise, so no site releases a sum alone.
        """
        if self.shared is not None:
            raise PrivacyError("privacy plan: under trust 'distributed' no site releases a sum alone; report this as a bug")
        return Mechanism(self.clipping_norm, self.gradient_noise, dimension, slack)

    def shares(self, dimension: int, sites: int) -> NoiseShares:
        """Return the noise that each of the sites of one attempt adds to its own sum.

        Parameters
        ----------
        dimension
            Number of trained parameters.
        sites
            Number of sites in the attempt.

        Raises
        ------
        PrivacyError
            The sites share no noise, or they are too few.
        """
        if self.shared is None:
            raise PrivacyError(f"privacy plan: trust '{self.trust}' has no shared noise; report this as a bug")
        if not self.shared.fewest <= sites <= self.shared.sites:
            raise PrivacyError(
                f"a secure sum of {sites} sites: the plan is for {self.shared.fewest} to {self.shared.sites}; wait for more "
                "sites"
            )
        return self.shared.shares(self.clipping_norm, self.noise_multiplier, dimension, sites)

    @property
    def gradient_noise(self) -> float:
        """Return the standard deviation of the noise on the gradient sum, divided by its sensitivity.

        It equals z except for adaptive clipping, which also releases a count. Then 1 / z^2 = 1 / z_gradient^2 + 1 / (2
        count_noise)^2, so that both releases together cost as much as one release at z (Andrew et al. 2021, arXiv
        1905.03871, theorem 1).
        """
        if self.clipping != "adaptive":
            return self.noise_multiplier
        return 1 / math.sqrt(self.noise_multiplier**-2 - (2 * self.count_noise) ** -2)

    @property
    def events(self) -> tuple[MechanismEvent, ...]:
        """Return the mechanism events of one round, for the accountant."""
        return (
            MechanismEvent(self.sampling_rate, self.noise_multiplier, self.steps_per_round),
            *self.releases,
        )

    def epsilon(self, rounds: int | None = None, accountant: Accountant | None = None) -> float:
        """Return epsilon at ``target_delta``, cross-checked by a second accountant.

        Parameters
        ----------
        rounds
            Number of rounds; None means the whole run.
        accountant
            Cache of privacy losses; None makes a new one.

        Raises
        ------
        PrivacyError
            ``rounds`` is negative, or the two accountants contradict each other.
        """
        if rounds is not None and rounds < 0:
            raise PrivacyError(f"rounds {rounds}: must be 0 or more")
        events = self.events * (self.rounds if rounds is None else rounds)
        return (accountant or Accountant()).cross_checked(events, self.target_delta)

    def epsilon_by_round(self, accountant: Accountant | None = None) -> tuple[float, ...]:
        """Return epsilon at ``target_delta`` after each round of the run, cumulative.

        Parameters
        ----------
        accountant
            Cache of privacy losses; None makes a new one.
        """
        return (accountant or Accountant()).by_round(self.events, self.rounds, self.target_delta)

    def digest(self) -> str:
        """Return the SHA-256 of the plan's canonical JSON, 64 hexadecimal digits."""
        content = asdict(self)
        if self.shared is None:  # so that a run under an earlier version, whose plans had no such field, can continue
            del content["shared"]
        return json_digest(content)

    @classmethod
    def of(
        cls,
        *,
        declared_size: int,
        sampling_rate: float,
        steps: int,
        epsilon: float | None = None,
        noise_multiplier: float | None = None,
        target_delta: float | None = None,
        clipping_norm: float = 1.0,
        clipping: ClippingMode = "flat",
    ) -> Self:
        """Plan DP-SGD without a run configuration, for `make_private`.

        Parameters
        ----------
        declared_size
            Number of records, as a public number; sampling_rate x declared_size is the expected batch.
        sampling_rate
            Each record's chance to be in a step (above 0, at most 1).
        steps
            Optimiser steps in all.
        epsilon
            Calibrate the noise so that all steps together cost at most this epsilon.
        noise_multiplier
            Or give the noise: its standard deviation on a step's sum, in units of the sensitivity.
        target_delta
            Delta of the guarantee; without it 1 / declared_size^1.1.
        clipping_norm
            L2 bound C of one record's gradient.
        clipping
            How a gradient is bounded: ``flat``, ``automatic``, ``per-layer`` or ``adaptive``.

        Raises
        ------
        PrivacyError
            Neither or both of ``epsilon`` and ``noise_multiplier`` are given, a number is out of range, or no noise
            meets the target.

        Examples
        --------
        >>> from hushtune import PrivacyPlan
        >>> plan = PrivacyPlan.of(declared_size=2000, sampling_rate=0.05, steps=200, epsilon=3.0)
        >>> round(plan.epsilon(), 1)
        3.0
        """
        if (epsilon is None) == (noise_multiplier is None):
            raise PrivacyError("plan: give either epsilon or noise_multiplier; the other follows from it")
        if not (isinstance(steps, int) and steps >= 1 and declared_size >= 1):
            raise PrivacyError(f"steps = {steps}, declared_size = {declared_size}: both must be whole numbers of at least 1")
        if epsilon is not None and not 0 < epsilon <= 100:
            raise PrivacyError("epsilon: must be above 0 and at most 100")
        delta = default_delta(declared_size) if target_delta is None else target_delta
        noise = 1.0 if noise_multiplier is None else noise_multiplier  # a draft, checked before the search for its noise
        draft = cls(sampling_rate, noise, clipping_norm, steps, 1, delta, declared_size, clipping=clipping)
        if epsilon is None:
            return draft
        return replace(draft, noise_multiplier=Accountant().noise_multiplier(epsilon, delta, sampling_rate, steps))


def grids_of(privacy: PrivacySection, events: Iterable[MechanismEvent]) -> dict[Purpose, float]:
    """Return the grid step of each kind of release: the released numbers are multiples of it.

    Under adaptive clipping the grid of the gradient sum follows C; the returned step is that of the initial C.

    Parameters
    ----------
    privacy
        Section with the clipping norm and the way of clipping.
    events
        Mechanism events of a round.
    """
    grids: dict[Purpose, float] = {
        event.purpose: grid_of(privacy.clipping_norm if event.purpose == "training" else SHARE_BOUND) for event in events
    }
    return grids | ({"clipping": grid_of(COUNT_BOUND)} if privacy.clipping == "adaptive" else {})
