"""Let synthetic sites add up secure sums by the product's own protocol, and record what each site sends."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from privacy.audit.rig import LARGE, RESTARTS, STEPS, Flags, Floats, Rig, public_seeds, units_of
from privacy.dp.entropy import uniforms
from privacy.dp.plan import PrivacyPlan
from privacy.dp.sampling import poisson_batches
from privacy.secagg.protocol import Attempt, Participant, total
from privacy.secagg.roster import Roster
from shared.errors import PrivacyError
from shared.identity.keys import new_key


@dataclass(frozen=True)
class SumTrace:
    """What the sites of secure sums sent.

    Attributes
    ----------
    included : array (T, n) bool
        Which synthetic unit was drawn for which attempt.
    shares : array (attempts x sites, d)
        The noise of each site in each attempt, in steps of the grid.
    unmasked
        Whether each total under masks is the sum of the vectors, modulo 2^32.
    masked : array (attempts x sites, d)
        The vectors as the server sees them.
    """

    included: Flags
    shares: Floats
    unmasked: bool
    masked: npt.NDArray[np.uint32]


def sum_trace(plan: PrivacyPlan, sizes: Sequence[int], device: str = "cpu") -> SumTrace:
    """Let synthetic sites add up secure sums under masks, by the protocol that real ones use.

    Parameters
    ----------
    plan
        A plan of trust ``distributed``; the sums have as many sites as its smallest.
    sizes
        Numbers in each tensor that the run trains.
    device
        Where the run trains; a GPU draws its own noise.

    Raises
    ------
    PrivacyError
        The sites of the plan share no noise.
    """
    if plan.shared is None:
        raise PrivacyError(f"meter: trust '{plan.trust}' has no secure sums; report this as a bug")
    rig, names = Rig.of(plan, sizes, device), [f"s{number}" for number in range(plan.shared.fewest)]
    noise_of = plan.shares(sum(rig.sizes), len(names))
    rows, masked, unmasked = [], [], True
    for _ in range(RESTARTS):
        with public_seeds(), rig.step() as step:
            for attempt in range(max(1, STEPS // len(names))):
                rig.accumulate(step, torch.full((1, sum(rig.sizes)), LARGE * plan.clipping_norm), [0])
                sums = [noise_of.on_grid(torch.from_numpy(rig.end(step)[0]).to(device)) for _ in names]
                vectors = [noise_of.noised(steps) for steps in sums]
                rows += [
                    (vector - steps.cpu().numpy().astype(np.uint32)).view(np.int32) + 0.5
                    for vector, steps in zip(vectors, sums, strict=True)
                ]
                sent = _masked(plan, attempt, names, vectors)
                unmasked &= bool(np.array_equal(total(sent), total(vectors)))
                masked += sent
    return SumTrace(_drawn_attempts(plan), np.stack(rows).astype(np.float64), unmasked, np.stack(masked))


def _drawn_attempts(plan: PrivacyPlan) -> Flags:
    """Draw the batch of each of several attempts, as a site does: one step at a time."""
    units, draws = units_of(plan), list[Flags]()
    for _ in range(RESTARTS):
        with public_seeds():
            for _ in range(STEPS):
                [drawn] = poisson_batches(units, plan.sampling_rate, plan.steps_per_round, uniforms)
                draws.append(np.isin(np.arange(units), drawn))
    return np.stack(draws)


def _masked(
    plan: PrivacyPlan, number: int, names: Sequence[str], vectors: Sequence[npt.NDArray[np.uint32]]
) -> list[npt.NDArray[np.uint32]]:
    """Mask each site's vector, with new keys that all sites have pinned."""
    assert plan.shared is not None  # noqa: S101  the caller checks it
    keys = {name: new_key() for name in names}
    roster = Roster({name: key.public_key() for name, key in keys.items()})
    sites = [Participant(name, key, roster, plan.shared.fewest, plan.shared.colluders) for name, key in keys.items()]
    attempt = Attempt("meter", 1, number, "meter", "", plan.digest())
    announced = [site.announce(attempt) for site in sites]
    return [site.mask(attempt, announced, vector) for site, vector in zip(sites, vectors, strict=True)]
