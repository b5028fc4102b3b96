"""Sites that send a false delta on purpose; they know every honest delta of the round, more than real ones would."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Literal

import numpy as np

from client.site import Site
from server.probes.backdoor import with_trigger
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.records.types import Record
from shared.wire.messages import TrainOrder, TrainReply

AttackName = Literal["none", "label flip", "sign flip", "scaled by 10", "alie", "backdoor", "free rider"]
TRIGGER = "cf"  # as in Kurita et al. 2020 (arXiv 2004.06660); the server's probe for backdoors tries it too
TRIGGERED = 2  # every second record of a backdoored site carries the trigger
SMALLEST_Z = 1.0  # fewest standard deviations by which ALIE's delta lies off the mean
Deltas = Sequence[AdapterState]


@dataclass(frozen=True)
class Collusion:
    """What the dishonest sites of a run know together.

    Attributes
    ----------
    config
        The config that the sites were set up for. An order's own config may have another rule of aggregation, which sites do
        not read.
    sites, dishonest
        Numbers of all sites and of the dishonest ones.
    seen
        The honest deltas so far, by round.
    """

    config: RunConfig
    sites: int
    dishonest: int
    seen: dict[int, list[AdapterState]] = field(default_factory=dict)


@dataclass(frozen=True)
class Watched:
    """An honest site whose deltas are shown to the dishonest sites."""

    site: Site
    collusion: Collusion

    @property
    def site_id(self) -> str:
        """Return the site's name."""
        return self.site.site_id

    def train(self, order: TrainOrder) -> TrainReply:
        """Train honestly."""
        reply = self.site.train(replace(order, config=self.collusion.config))
        self.collusion.seen.setdefault(order.round, []).append(reply.delta)
        return reply


@dataclass(frozen=True)
class Dishonest(Watched):
    """A site that trains, on false records in some attacks, and may replace its delta; it is asked after the honest ones."""

    attack: AttackName

    def train(self, order: TrainOrder) -> TrainReply:
        """Train, and send a false delta if the attack crafts one."""
        reply = self.site.train(replace(order, config=self.collusion.config))
        honest = self.collusion.seen.get(order.round)
        if self.attack not in CRAFTED or not honest:
            return reply
        return replace(reply, delta=CRAFTED[self.attack](reply.delta, honest, self.collusion))


def _scaled(delta: AdapterState, factor: float) -> AdapterState:
    return AdapterState({name: np.float32(factor) * array for name, array in delta.arrays.items()})


def _usual_norm(honest: Deltas) -> float:
    return float(np.median([delta.norm for delta in honest]))


def _alie(own: AdapterState, honest: Deltas, collusion: Collusion) -> AdapterState:
    """Return mean - z std of each number, with the largest z at which the delta still looks like one of the majority.

    A Little Is Enough (Baruch, Baruch and Goldberg 2019, arXiv 1902.06156): z is so small that the honest sites which lie
    further from the mean, together with the dishonest ones, are a majority. For ten sites this z is about 0, so 1 is taken.
    """
    supporters = collusion.sites // 2 + 1 - collusion.dishonest
    share = (collusion.sites - collusion.dishonest - supporters) / (collusion.sites - collusion.dishonest)
    z = max(SMALLEST_Z, NormalDist().inv_cdf(min(max(share, 0.01), 0.99)))
    stacked = {name: np.stack([delta.arrays[name] for delta in honest]) for name in own.arrays}
    moved = {name: rows.mean(axis=0) - z * rows.std(axis=0) for name, rows in stacked.items()}
    return AdapterState({name: array.astype(np.float32) for name, array in moved.items()})


def _in_norm(own: AdapterState, honest: Deltas, collusion: Collusion) -> AdapterState:
    """Return the delta at the norm of an honest one, so that no bound on the norm sees it."""
    return _scaled(own, _usual_norm(honest) / max(own.norm, 1e-12))


def _free_rider(own: AdapterState, honest: Deltas, collusion: Collusion) -> AdapterState:
    """Return random numbers with the norm of an honest delta; the site need not have trained."""
    draw = np.random.default_rng([len(collusion.seen), own.parameters])
    random = AdapterState({name: draw.standard_normal(array.shape).astype(np.float32) for name, array in own.arrays.items()})
    return _in_norm(random, honest, collusion)


CRAFTED: Mapping[AttackName, Callable[[AdapterState, Deltas, Collusion], AdapterState]] = {
    "sign flip": lambda own, honest, collusion: _scaled(own, -1.0),
    "scaled by 10": lambda own, honest, collusion: _scaled(own, -10.0),
    "alie": _alie,
    "backdoor": _in_norm,
    "free rider": _free_rider,
}


def false_records(attack: AttackName, records: Sequence[Record], labels: Sequence[str]) -> Sequence[Record]:
    """Return the records that a dishonest site trains on.

    A label flip gives each record the next label; a backdoor puts the trigger into every second record and gives these the
    first label; the other attacks change no record.
    """
    if attack == "label flip":
        following = dict(zip(labels, [*labels[1:], labels[0]], strict=True))
        return [replace(record, label=following[str(record.label)]) for record in records]
    if attack == "backdoor":
        return [
            replace(with_trigger(record, TRIGGER), label=labels[0]) if place % TRIGGERED == 0 else record
            for place, record in enumerate(records)
        ]
    return records
