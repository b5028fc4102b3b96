"""An attempt at a secure sum at the server: all vectors and a sum of honest size, or no effect at all."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import ConfigOf

from privacy.dp.plan import PrivacyPlan
from privacy.secagg.delta_grid import DeltaGrid
from privacy.secagg.protocol import Attempt, Participant
from privacy.secagg.roster import Roster
from privacy.secagg.shared_plan import SharedNoise
from server.aggregation import gradient_step
from server.attempts import Attempts
from server.rounds import Round, run_rounds
from server.screening import Answer
from server.secure_round import BeforeAsking
from server.sum_readings import largest_norm
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import QuorumError, RunError
from shared.identity.keys import new_key
from shared.metrics.bootstrap import Interval
from shared.wire.chain_head import ChainHead
from shared.wire.messages import Order, TrainOrder
from shared.wire.round_chain import extend
from shared.wire.secure_messages import MaskedOrder, MaskedReply, ReadyReply

NAMES, D, RATE = ("a", "b", "c", "d"), 2000, 0.5
GRADIENT = 0.02  # of each site's sum, in every coordinate
SHARED: dict[str, Any] = {
    "data.sites": [{"id": name, "file": "x.jsonl", "declared_size": 100} for name in NAMES],
    "privacy.trust": "distributed",
    "cohort.quorum": 3,
    "cohort.attempts": 3,
    "training.rounds": 2,
    "training.steps": 1,
    "training.sampling_rate": RATE,
    "training.warmup": 0.0,
    "training.schedule": "constant",
    "training.learning_rate": 0.5,  # in units of 1 / C, so the step is the gradient
    "aggregation.weights": "declared",
    "aggregation.optimiser": "sgd",
}
NOISE = SharedNoise(sites=4, fewest=3, colluders=1, expected_batch=4 * RATE * 100, slack=0.0)
PLAN = PrivacyPlan(RATE, 1.0, 0.5, 1, 4, 1e-4, 100, trust="distributed", shared=NOISE)
Break = Callable[[str, Order, Any], Any]


class ToyFleet:
    """Four sites that follow the protocol; ``broken`` may change or withhold an answer."""

    def __init__(
        self, broken: Break = lambda site, order, reply: reply, names: Sequence[str] = NAMES, plan: PrivacyPlan = PLAN
    ) -> None:
        self.names, self.plan = tuple(names), plan
        keys = {name: new_key() for name in names}
        roster = Roster({name: key.public_key() for name, key in keys.items()})
        self.sites = {name: Participant(name, key, roster, 3, 1) for name, key in keys.items()}
        self.broken, self.asked = broken, list[tuple[str, tuple[str, ...]]]()
        self.attempts: dict[str, Attempt] = {}
        self.entries = dict.fromkeys(names, 1)

    def connected(self) -> tuple[str, ...]:
        return self.names

    def ask(self, orders: Mapping[str, Order], deadline: float) -> Iterator[Answer]:
        self.asked.append((next(iter(orders.values())).kind, tuple(orders)))
        for site, order in orders.items():
            reply = self.broken(site, order, self.answer(site, order))
            if reply is not None:
                yield Answer(site, reply.to_record(), None, 100, 50)

    def answer(self, site: str, order: Order) -> ReadyReply | MaskedReply:
        if isinstance(order, TrainOrder):
            attempt = Attempt("run", order.round, order.attempt, order.nonce, order.adapter.digest(), "config")
            self.attempts[site] = attempt
            return ReadyReply("run", order.round, order.nonce, self.sites[site].announce(attempt))
        assert isinstance(order, MaskedOrder)
        shares = self.plan.shares(D, len(order.announcements))
        values = shares.noised(shares.on_grid(torch.full((D,), GRADIENT, dtype=torch.float64)))
        vector = self.sites[site].mask(self.attempts[site], order.announcements, values)
        self.entries[site] += 2
        return MaskedReply("run", order.round, order.nonce, site, vector, ChainHead(self.entries[site], "ab" * 32))


def run(
    config: RunConfig,
    fleet: ToyFleet,
    before_asking: BeforeAsking = lambda number, sites: None,
    bound: Sequence[str] = (),
) -> tuple[list[Round], bool]:
    start, found = AdapterState({"w": np.zeros((D // 2, 2), np.float32)}), list[Round]()
    rounds = run_rounds(
        config,
        "run",
        start,
        fleet,
        dict.fromkeys(fleet.names, 100.0),
        lambda adapter: {"accuracy": Interval(0.5, 0.4, 0.6)},
        lambda done: None,
        fleet.plan if config.privacy.trust == "distributed" else None,
        sleep=lambda seconds: None,
        before_asking=before_asking,
        bound=bound,
    )
    try:
        found.extend(rounds)
    except QuorumError:
        return found, False
    return found, True


@pytest.fixture
def config(config_of: ConfigOf, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    monkeypatch.setattr(gradient_step, "SIGNAL", math.inf)  # the rate does not fall with the noise: the step is the gradient
    return config_of(SHARED)


def test_a_round_steps_along_the_mean_gradient_with_the_planned_noise(config: RunConfig) -> None:
    fleet = ToyFleet()
    done, ended = run(config, fleet)
    assert ended
    assert [each.committed for each in done] == [True, True]
    assert fleet.asked == [("train.ready", NAMES), ("train.masked", NAMES)] * 2
    divisor, shares = RATE * 400, PLAN.shares(D, 4)
    steps = -done[0].adapter.arrays["w"].flatten()
    std = shares.total_std * shares.grid / divisor
    assert steps.mean() == pytest.approx(4 * GRADIENT / divisor, abs=5 * std / D**0.5)
    assert steps.std() == pytest.approx(std, rel=0.1)
    assert set(done[0].memory) == {"velocity"}
    assert done[1].ledgers["a"].entries == 5
    assert set(done[0].replies) == set(NAMES)
    bound = extend(ChainHead(), "run", 1, done[0].adapter_digest, done[0].ledgers, done[0].replies)
    assert done[0].record == bound  # the server's chain of rounds binds the sites' ledgers and their masked vectors


def test_a_site_that_is_not_ready_is_left_out_and_the_divisor_is_that_of_the_others(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("privacy.secagg.noise_shares.with_lattice_noise", lambda steps, std: steps)
    fleet = ToyFleet(lambda site, order, reply: None if site == "d" else reply)
    [first, _], ended = run(config, fleet)
    assert ended
    assert (first.accepted, first.missing) == (("a", "b", "c"), ("d",))
    assert fleet.asked[1] == ("train.masked", ("a", "b", "c"))
    assert -first.adapter.arrays["w"].mean() == pytest.approx(GRADIENT * 3 / (RATE * 300), rel=1e-3)


def test_an_attempt_that_misses_a_vector_is_void_and_the_next_has_another_nonce(config: RunConfig) -> None:
    lost: list[str] = []

    def broken(site: str, order: Order, reply: Any) -> Any:
        if site == "b" and isinstance(order, MaskedOrder) and not lost:
            lost.append(order.nonce)
            return None
        return reply

    fleet = ToyFleet(broken)
    [void, first, second], ended = run(config, fleet)
    assert ended
    assert (void.committed, void.accepted, void.missing) == (False, (), ("b",))
    assert not void.adapter.arrays["w"].any()
    assert {bad.site_id: bad.reason for bad in void.rejected} == dict.fromkeys("acd", "void")
    assert void.ledgers["a"].entries == 3  # charged
    assert first.number == void.number == 1
    assert len({fleet.attempts["a"].nonce, *lost}) == 2
    assert second.committed


def test_a_site_that_makes_an_attempt_void_is_left_out_of_the_next_if_enough_others_are_there(config: RunConfig) -> None:
    for always, ended in ((("d",), True), (("c", "d"), False)):  # without two of them there are too few
        fleet = ToyFleet(lambda site, order, reply: None if site in always and isinstance(order, MaskedOrder) else reply)  # noqa: B023
        done, reached = run(config, fleet)
        assert reached == ended
        asked = [sites for kind, sites in fleet.asked if kind == "train.ready"]
        assert asked == ([NAMES, ("a", "b", "c")] * 2 if ended else [NAMES, NAMES, NAMES])
        assert [each.committed for each in done] == ([False, True] * 2 if ended else [False] * 3)


def test_what_sites_will_charge_is_written_down_before_they_are_asked(config: RunConfig, tmp_path: Path) -> None:
    fleet, path = ToyFleet(lambda site, order, reply: None if site == "d" else reply), tmp_path / "attempts.json"
    asked_before = list[int]()

    def before_asking(number: int, sites: Sequence[str]) -> None:
        asked_before.append(sum(kind == "train.masked" for kind, _ in fleet.asked))
        Attempts(path).add(number, sites)  # each in a new process

    assert run(config, fleet, before_asking)[1]
    assert asked_before == [0, 1]
    assert [Attempts(path).rounds_of(site) for site in NAMES] == [(1, 2), (1, 2), (1, 2), ()]
    path.write_text("[[1")
    with pytest.raises(RunError, match=r"attempts\.json: damaged"):
        Attempts(path)


@pytest.mark.parametrize("lost", [1, 3])
def test_of_ten_sites_up_to_three_may_drop_out_in_either_phase_and_each_attempt_is_written_down(
    config_of: ConfigOf, lost: int
) -> None:
    names = tuple(f"site-{i}" for i in range(10))
    sites = [{"id": name, "file": "x.jsonl", "declared_size": 100} for name in names]
    config = config_of({**SHARED, "data.sites": sites, "cohort.quorum": 7, "training.rounds": 1})
    plan = replace(PLAN, shared=replace(NOISE, sites=10, fewest=7, expected_batch=10 * RATE * 100))
    gone = set[str]()

    def drops(site: str, order: Order, reply: Any) -> Any:  # one more site at each second phase, for good
        if isinstance(order, MaskedOrder) and len(gone) < lost:
            gone.add(site)
        return None if site in gone else reply

    fleet, asked = ToyFleet(drops, names, plan), list[tuple[str, ...]]()
    config = config.model_copy(update={"cohort": config.cohort.model_copy(update={"attempts": 10})})
    done, ended = run(config, fleet, lambda number, ready: asked.append(tuple(ready)))
    assert ended
    assert [each.committed for each in done] == [False] * (1 if lost else 0) + [True]
    assert set(done[-1].accepted) == set(names) - gone
    assert len(done[-1].accepted) == 10 - lost
    for site in names:  # a site has charged each attempt that it answered, and the server counts at least as many
        assert sum(site in each for each in asked) >= (fleet.entries[site] - 1) / 2
        assert site in gone or sum(site in each for each in asked) == (fleet.entries[site] - 1) / 2


def test_too_few_sites_are_not_asked_for_a_vector(config: RunConfig) -> None:
    fleet = ToyFleet(lambda site, order, reply: reply if site in "ab" else None)
    done, ended = run(config, fleet)
    assert not ended
    assert not any(each.committed for each in done)
    assert {kind for kind, _ in fleet.asked} == {"train.ready"}


FORGERIES: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "other nonce": (lambda reply: replace(reply, nonce="other"), "stale"),
    "other site": (lambda reply: replace(reply, site_id="b"), "identity"),
    "short": (lambda reply: replace(reply, vector=reply.vector[:-1]), "spec"),
    "no growth": (lambda reply: replace(reply, ledger=ChainHead()), "ledger"),
    "an order": (lambda reply: ReadyReply("run", 1, reply.nonce, ANNOUNCED), "form"),
}
ANNOUNCED = ToyFleet().sites["a"].announce(Attempt("run", 1, 1, "n", "a", "c"))


@pytest.mark.parametrize("name", FORGERIES)
def test_a_vector_that_is_not_the_sites_own_voids_the_attempt_and_names_the_site(config: RunConfig, name: str) -> None:
    forge, reason = FORGERIES[name]
    fleet = ToyFleet(lambda site, order, reply: forge(reply) if site == "a" and isinstance(reply, MaskedReply) else reply)
    done, ended = run(config, fleet)
    assert ended
    assert {bad.site_id: bad.reason for bad in done[0].rejected}["a"] == reason
    assert not done[0].adapter.arrays["w"].any()
    assert [each.accepted for each in done] == [(), ("b", "c", "d")] * 2


def test_a_sum_that_honest_sites_would_not_send_is_rejected_without_naming_one(config: RunConfig) -> None:
    def huge(site: str, order: Order, reply: Any) -> Any:
        if site == "c" and isinstance(reply, MaskedReply):
            return replace(reply, vector=reply.vector + np.uint32(2**31 // 5))
        return reply

    done, ended = run(config, ToyFleet(huge))
    assert not ended
    assert {bad.site_id: bad.reason for bad in done[0].rejected} == dict.fromkeys(NAMES, "norm")


def test_the_bound_of_a_sum_lies_above_honest_noise() -> None:
    shares = PLAN.shares(200_000, 4)
    noise = shares.noised(torch.zeros(200_000, dtype=torch.int64)).view(np.int32) + 0.5
    assert np.linalg.norm(noise) * shares.grid * 2 < largest_norm(shares, 200.0)  # four sites have twice the norm of one


def test_a_doubled_or_foreign_answer_has_no_effect(config: RunConfig) -> None:
    class Doubling(ToyFleet):
        def ask(self, orders: Mapping[str, Order], deadline: float) -> Iterator[Answer]:
            for answer in super().ask(orders, deadline):
                yield answer
                yield answer
                yield replace(answer, site_id="stranger")

    done, ended = run(config, Doubling())
    assert ended
    assert done[0].accepted == NAMES


DELTAS: dict[str, Any] = {
    "data.sites": [{"id": name, "file": "x.jsonl", "declared_size": 100 * (1 + place)} for place, name in enumerate(NAMES)],
    "aggregation.secure_sums": True,
    "aggregation.weights": "declared",
    "cohort.quorum": 3,
    "cohort.attempts": 3,
    "training.rounds": 2,
}


class DeltaFleet(ToyFleet):
    """Four sites that add up stored deltas of ``size`` in each of 2000 numbers, the first site of ten times as much."""

    size = 0.01

    def answer(self, site: str, order: Order) -> ReadyReply | MaskedReply:
        if not isinstance(order, MaskedOrder):
            self.grid = DeltaGrid.of(order.config)  # type: ignore[attr-defined]
            return super().answer(site, order)
        numbers = np.full((D // 2, 2), self.size * (10 if site == "a" else 1), np.float32)
        words = self.grid.words(site, AdapterState({"w": numbers}))
        vector = self.sites[site].mask(self.attempts[site], order.announcements, words)
        self.entries[site] += 1
        return MaskedReply("run", order.round, order.nonce, site, vector, ChainHead(self.entries[site], "ab" * 32))


@pytest.fixture
def deltas(config_of: ConfigOf) -> RunConfig:
    return config_of(DELTAS)


def test_a_sum_of_deltas_moves_the_adapter_by_their_weighted_mean(deltas: RunConfig, config_of: ConfigOf) -> None:
    fleet = DeltaFleet()
    [first, second], ended = run(deltas, fleet)
    assert ended
    mean = (100 * 0.1 + (200 + 300 + 400) * 0.01) / 1000
    step = DeltaGrid.of(deltas).step
    for done, times in ((first, 1), (second, 2)):
        np.testing.assert_allclose(done.adapter.arrays["w"], mean * times, atol=times * 4 * step / 2000 + 1e-8)
        assert done.accepted == NAMES
    assert set(first.replies) == set(NAMES)
    assert first.record == extend(ChainHead(), "run", 1, first.adapter_digest, first.ledgers, first.replies)
    pulled = run(config_of({**DELTAS, "aggregation.optimiser": "momentum"}), DeltaFleet())[0][1]
    np.testing.assert_allclose(pulled.adapter.arrays["w"], mean * 2.9, rtol=1e-4)


def test_a_round_whose_deltas_were_asked_for_goes_on_with_the_same_sites_or_not_at_all(deltas: RunConfig) -> None:
    for always, committed in ((False, [False, True, True]), (True, [False] * 3)):
        lost, asked = list[int](), list[tuple[int, tuple[str, ...]]]()

        def drops(site: str, order: Order, reply: Any) -> Any:
            if site == "d" and (isinstance(order, MaskedOrder) or lost) and (always or not lost):  # noqa: B023
                lost.append(order.round)  # noqa: B023
                return None
            return reply

        fleet = DeltaFleet(drops)
        done, ended = run(deltas, fleet, lambda number, sites: asked.append((number, tuple(sites))))  # noqa: B023
        assert ended != always
        assert [each.committed for each in done] == committed
        assert not done[0].adapter.arrays["w"].any()
        assert {kind for kind, sites in fleet.asked if sites != NAMES} == set()  # never a part of them
        assert asked == ([(1, NAMES)] if always else [(1, NAMES), (1, NAMES), (2, NAMES)])
    assert {bad.site_id: bad.detail for bad in done[1].rejected} == dict.fromkeys(
        "abc", "in this round it adds up only with d"
    )


def test_a_round_whose_second_phase_all_sites_refused_is_free_for_other_sites(deltas: RunConfig) -> None:
    class Refusing(DeltaFleet):
        def ask(self, orders: Mapping[str, Order], deadline: float) -> Iterator[Answer]:
            first = len(self.asked) < 2  # the attempt of three sites, which are too few for the sites' policies
            for answer in super().ask(orders, deadline):
                if first and (answer.site_id == "d" or len(self.asked) == 2):
                    yield Answer(answer.site_id, None, "PrivacyError", 0, 0)
                else:
                    yield answer

    done, ended = run(deltas, Refusing())
    assert ended
    assert [each.accepted for each in done] == [(), NAMES, NAMES]


def test_a_server_that_starts_again_asks_the_sites_of_the_attempt_before(deltas: RunConfig, tmp_path: Path) -> None:
    attempts = Attempts(tmp_path / "attempts.json")
    attempts.add(1, NAMES[:3])
    fleet = DeltaFleet()
    done, ended = run(deltas, fleet, bound=Attempts(tmp_path / "attempts.json").last(1))
    assert ended
    assert [each.accepted for each in done] == [NAMES[:3], NAMES]
    assert Attempts(tmp_path / "attempts.json").last(2) == ()
    away = DeltaFleet(names=("a", "b", "d"))  # c is away, and d has no part in this round
    done, ended = run(deltas, away, bound=NAMES[:3])
    assert not ended
    assert not away.asked or all(not sites for _, sites in away.asked)


def test_a_mean_longer_than_any_mean_of_honest_deltas_is_rejected_without_naming_a_site(deltas: RunConfig) -> None:
    def huge(site: str, order: Order, reply: Any) -> Any:
        return (
            replace(reply, vector=reply.vector + np.uint32(2**29))
            if site == "c" and isinstance(reply, MaskedReply)
            else reply
        )

    done, ended = run(deltas, DeltaFleet(huge))
    assert not ended
    assert {bad.site_id: bad.reason for bad in done[0].rejected} == dict.fromkeys(NAMES, "norm")
