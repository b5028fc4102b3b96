import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixture_types import ConfigOf
from screened import head
from toy_sites import ToyFleet, honest, toy_state

from privacy.dp.plan import PrivacyPlan
from server.history import from_row, to_row
from server.ledger_heads import Heads
from server.rounds import Round, run_rounds
from server.screening import Answer
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import QuorumError
from shared.metrics.bootstrap import Interval
from shared.wire.chain_head import ChainHead
from shared.wire.messages import TrainOrder, TrainReply
from shared.wire.round_chain import extend


class Server:
    """Runs rounds over a toy fleet and keeps what was committed."""

    def __init__(self, config: RunConfig, start: AdapterState) -> None:
        self.config, self.start = config, start
        self.commits: list[tuple[int, AdapterState]] = []
        self.measured: list[AdapterState] = []
        self.pauses: list[float] = []
        self.ended: QuorumError | None = None

    def run(self, fleet: Any, weights: Mapping[str, float], plan: PrivacyPlan | None = None) -> list[Round]:
        def evaluate(adapter: AdapterState) -> dict[str, Interval]:
            self.measured.append(adapter)
            return {"accuracy": Interval(0.5, 0.4, 0.6)}

        def commit(done: Round) -> None:
            self.commits.append((done.number, done.adapter))

        rounds = run_rounds(self.config, "run", self.start, fleet, weights, evaluate, commit, plan, sleep=self.pauses.append)
        done: list[Round] = []
        try:
            for each in rounds:
                done.append(each)
        except QuorumError as error:
            self.ended = error
        return done


THREE = [{"id": site, "file": f"{site}.csv", "declared_size": 100} for site in ("east", "north", "south")]


@pytest.fixture
def server(config_of: ConfigOf) -> Callable[..., Server]:
    def build(**changes: Any) -> Server:
        dotted = {key.replace("__", "."): value for key, value in changes.items()}
        return Server(config_of({"data.sites": THREE, "training.rounds": 1, **dotted}), toy_state(1.0))

    return build


UNIFORM = {"east": 1.0, "north": 1.0, "south": 1.0}


def test_a_round_adds_the_mean_of_the_deltas(server: Any) -> None:
    fleet = ToyFleet({"north": honest(toy_state(2.0)), "south": honest(toy_state(5.0)), "east": honest(toy_state(-1.0))})
    made = server()
    done = made.run(fleet, UNIFORM)[0]
    assert done.committed
    assert done.accepted == ("east", "north", "south")
    assert done.adapter.digest() == toy_state(3.0).digest()
    assert made.commits == [(1, done.adapter)]
    assert made.measured == [done.adapter]
    assert (done.bytes_down, done.bytes_up) == (300, 150)
    assert done.rejected == ()
    assert done.missing == ()


def test_public_weights_weigh(server: Any) -> None:
    fleet = ToyFleet({"north": honest(toy_state(0.0)), "south": honest(toy_state(4.0))})
    done = server().run(fleet, {"north": 3.0, "south": 1.0})[0]
    assert done.adapter.digest() == toy_state(2.0).digest()


def test_orders_carry_the_current_adapter_and_nonces_of_their_own(server: Any) -> None:
    fleet = ToyFleet({site: honest(toy_state(1.0)) for site in UNIFORM})
    server(training__rounds=3).run(fleet, UNIFORM)
    assert [order.round for orders in fleet.orders for order in orders.values()] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    nonces = {order.nonce for orders in fleet.orders for order in orders.values()}
    assert len(nonces) == 9
    assert all(len(nonce) == 32 for nonce in nonces)
    assert [orders["north"].adapter.digest() for orders in fleet.orders] == [toy_state(v).digest() for v in (1, 2, 3)]


def test_whom_the_server_asks_for_deltas_is_written_down_before_it_asks(server: Any) -> None:
    fleet = ToyFleet({site: honest(toy_state(1.0)) for site in UNIFORM})
    made, asked = server(training__rounds=2), list[tuple[int, int, tuple[str, ...]]]()

    def before_asking(number: int, sites: Sequence[str]) -> None:
        asked.append((len(fleet.orders), number, tuple(sites)))

    rounds = run_rounds(
        made.config, "run", made.start, fleet, UNIFORM, lambda _: {}, lambda _: None, before_asking=before_asking
    )
    assert all(done.committed for done in rounds)
    assert asked == [(0, 1, tuple(UNIFORM)), (1, 2, tuple(UNIFORM))]


def test_a_public_sample_is_all_that_is_asked(server: Any) -> None:
    fleet = ToyFleet({site: honest(toy_state(1.0)) for site in UNIFORM})
    rounds = server(training__rounds=8, cohort__sample=2, cohort__quorum=2).run(fleet, UNIFORM)
    assert all(done.committed and len(done.accepted) == 2 and not done.missing for done in rounds)
    assert {order.cohort for orders in fleet.orders for order in orders.values()} == {2}
    assert {site for done in rounds for site in done.accepted} == set(UNIFORM)


def broken(kind: str) -> Callable[[TrainOrder, str], Answer | list[Answer]]:
    """Make a site that misbehaves in one way."""

    def act(order: TrainOrder, site: str) -> Answer | list[Answer]:
        good = honest(toy_state(1.0))(order, site)
        delta = toy_state(1.0)
        arrays = dict(delta.arrays)
        sent = TrainReply(order.run_id, order.round, order.nonce, site, delta, head(order.ledger.entries + 2, "h"))
        if kind == "nan":
            sent = replace(sent, delta=AdapterState({**arrays, "a": np.float32([math.nan, 0])}))
        elif kind == "tiny":
            sent = replace(sent, delta=AdapterState({name: a * np.float32(1e-44) for name, a in arrays.items()}))
        elif kind == "error":
            return Answer(site, None, "ValueError", 1, 0)
        elif kind == "stranger":
            return [replace(good, site_id="west")]
        elif kind == "silent":
            return []
        return Answer(site, sent.to_record(), None, 1, 1)

    return act


@pytest.mark.parametrize(("kind", "reason"), [("nan", "not_finite"), ("error", "error")])  # test_screening has all reasons
def test_one_bad_site_is_named_and_the_others_go_on(server: Any, kind: str, reason: str) -> None:
    good = {"east": honest(toy_state(2.0)), "south": honest(toy_state(4.0))}
    made = server(cohort__quorum=2)
    done = made.run(ToyFleet({**good, "north": broken(kind)}), UNIFORM)[0]
    assert done.committed
    assert done.accepted == ("east", "south")
    assert [(r.site_id, r.reason) for r in done.rejected] == [("north", reason)]
    without = server(cohort__quorum=2).run(ToyFleet(good), UNIFORM)[0]
    assert done.adapter.digest() == without.adapter.digest()
    assert done.adapter.is_finite


@pytest.mark.parametrize("kind", ["silent", "stranger"])
def test_a_site_that_does_not_answer_is_missing(server: Any, kind: str) -> None:
    fleet = ToyFleet({"east": honest(toy_state(2.0)), "north": broken(kind)})
    done = server().run(fleet, UNIFORM)[0]
    assert done.missing == ("north",)
    assert done.accepted == ("east",)
    assert done.adapter.digest() == toy_state(3.0).digest()


def test_a_second_answer_of_a_site_has_no_effect(server: Any) -> None:
    def twice(order: TrainOrder, site: str) -> list[Answer]:
        return [honest(toy_state(1.0))(order, site), honest(toy_state(5.0))(order, site)]  # within the bound on norms

    done = server().run(ToyFleet({"north": twice, "south": honest(toy_state(3.0))}), UNIFORM)[0]
    assert done.accepted == ("north", "south")
    assert done.adapter.digest() == toy_state(3.0).digest()


def test_numbers_near_zero_are_numbers_too(server: Any) -> None:
    done = server().run(ToyFleet({"north": broken("tiny")}), UNIFORM)[0]
    assert done.accepted == ("north",)
    assert done.adapter.is_finite


def test_below_the_quorum_a_round_has_no_effect(server: Any) -> None:
    fleet = ToyFleet(
        {
            "east": honest(toy_state(2.0)),
            "north": broken("nan"),
            "south": broken("silent"),
        }
    )
    made = server(cohort__quorum=2, training__rounds=2)
    for done in made.run(fleet, UNIFORM):
        assert not done.committed
        assert done.adapter is made.start
        assert done.accepted == ("east",)
        assert not done.metrics  # an abandoned round has no adapter of its own to measure
    assert made.commits == []
    assert made.measured == []


def test_a_round_is_tried_again_after_doubling_pauses_and_then_the_run_stops(server: Any) -> None:
    made = server(cohort__quorum=2, cohort__attempts=5, cohort__pause=20.0)
    fleet = ToyFleet({"east": honest(toy_state(2.0)), "north": broken("nan")})
    assert [done.number for done in made.run(fleet, UNIFORM)] == [1] * 5
    assert made.pauses == [20.0, 40.0, 60.0, 60.0]
    assert "round 1: 5 attempts had no 2 accepted replies" in str(made.ended)
    assert "\n" not in str(made.ended)


def test_with_fewer_sites_than_the_quorum_nobody_is_asked_to_train(server: Any) -> None:
    fleet = ToyFleet({"east": honest(toy_state(2.0))})
    made = server(cohort__quorum=2)
    assert not any(done.committed for done in made.run(fleet, UNIFORM))
    assert fleet.orders == []
    assert made.ended


def test_an_abandoned_round_is_done_again_from_where_the_last_commit_was(server: Any) -> None:
    def flaky(order: TrainOrder, site: str) -> Answer:
        tried.append(order)
        if len(tried) == 2:
            return Answer(site, None, "TimeoutError", 1, 0)
        return honest(toy_state(1.0))(order, site)

    tried: list[TrainOrder] = []
    made = server(training__rounds=3)
    done = made.run(ToyFleet({"north": flaky}), UNIFORM)
    assert [(one.number, one.committed) for one in done] == [(1, True), (2, False), (2, True), (3, True)]
    assert [one.adapter.digest() for one in done] == [toy_state(v).digest() for v in (2, 2, 3, 4)]
    assert tried[1].nonce != tried[2].nonce  # a reply to the abandoned attempt is stale


def test_a_site_that_joins_late_leaves_or_returns_is_asked_when_it_is_there(server: Any) -> None:
    class Coming(ToyFleet):
        def connected(self) -> tuple[str, ...]:
            return {0: ("east",), 1: ("east", "north"), 2: ("north",)}.get(len(self.orders), ("east", "north"))

    fleet = Coming({name: honest(toy_state(1.0)) for name in ("east", "north")})
    done = server(training__rounds=4).run(fleet, UNIFORM)
    assert [one.accepted for one in done] == [("east",), ("east", "north"), ("north",), ("east", "north")]


def test_a_resumed_run_begins_after_its_last_committed_round(server: Any) -> None:
    made, fleet = server(training__rounds=3), ToyFleet({"north": honest(toy_state(1.0))})
    before = made.run(fleet, UNIFORM)[1]
    rounds = run_rounds(made.config, "run", made.start, fleet, UNIFORM, lambda _: {}, lambda _: None, last=before)
    assert [done.number for done in rounds] == [3]
    assert fleet.orders[-1]["north"].ledger == before.ledgers["north"]
    assert fleet.orders[-1]["north"].record == before.record


def test_the_order_of_arrival_does_not_show_in_the_result(server: Any) -> None:
    class Backwards(ToyFleet):
        def ask(self, orders: Mapping[str, TrainOrder], deadline: float) -> Iterator[Answer]:
            yield from reversed(list(super().ask(orders, deadline)))

    sites = {"east": honest(toy_state(0.1)), "north": honest(toy_state(0.7)), "south": honest(toy_state(1e-9))}
    weights = {"east": 3.0, "north": 7.0, "south": 11.0}
    one, other = (server().run(kind(sites), weights)[0] for kind in (ToyFleet, Backwards))
    assert one.adapter.digest() == other.adapter.digest()
    assert one.accepted == other.accepted


def test_under_central_trust_neither_orders_nor_the_published_rounds_reveal_the_sample(server: Any) -> None:
    """A sample that others know makes the epsilon wrong: it is smaller than that of whole sites only while q is secret."""
    plan = PrivacyPlan(0.5, 2.0, 1.0, 1, 12, 1e-4, 4, unit="site", trust="central")
    sites = [{"id": site, "file": f"{site}.csv", "declared_size": 100} for site in ("a", "b", "c", "d")]
    made, fleet = server(data__sites=sites, training__rounds=12), ToyFleet(dict.fromkeys("abcd", honest(toy_state(1.0))))
    done = made.run(fleet, dict.fromkeys("abcd", 1.0), plan)
    assert len({len(each.accepted) for each in done}) > 1, "the samples differ in size, unless 12 draws are all equal"
    assert {order.cohort for orders in fleet.orders for order in orders.values()} == {2}
    chain = ChainHead()
    assert not any(each.replies for each in done)
    for each in done:
        chain = extend(chain, "run", each.number, each.adapter_digest, {})
        assert each.record == chain
    for shown in (each.without_cohort() for each in done):
        assert shown.replies == {}
        assert (shown.asked, shown.ledgers, shown.bytes_up, shown.bytes_down, shown.site_kwh) == ((), {}, 0, 0, {})
        assert set(shown.stages) == {"evaluate"}


def test_the_time_of_a_round_is_the_sum_of_its_stages(server: Any) -> None:
    done = server().run(ToyFleet({"north": honest(toy_state(1.0))}), UNIFORM)[0]
    assert list(done.stages) == ["train", "aggregate", "evaluate"]
    assert done.seconds == pytest.approx(sum(done.stages.values()))
    assert all(seconds >= 0 for seconds in done.stages.values())


def test_each_side_is_told_where_the_others_book_ends(server: Any) -> None:
    fleet = ToyFleet({"north": honest(toy_state(1.0)), "south": honest(toy_state(1.0))})
    first, second = server(training__rounds=2).run(fleet, UNIFORM)
    asked = fleet.orders
    assert asked[0]["north"].ledger == asked[0]["north"].record == ChainHead()
    assert asked[1]["north"].ledger == first.ledgers["north"] == head(2, "north after round 1")
    assert asked[1]["south"].record == first.record
    assert second.ledgers["south"] == head(4, "south after round 2")
    assert (first.record.entries, second.record.entries) == (1, 2)


def test_the_servers_chain_can_be_recomputed_from_its_rounds(server: Any) -> None:
    fleet = ToyFleet({"north": honest(toy_state(1.0))})
    end = ChainHead()
    for done in server(training__rounds=3).run(fleet, UNIFORM):
        assert set(done.replies) == {"north"}
        assert done.replies == from_row(to_row(done), done.adapter).replies
        end = extend(end, "run", done.number, done.adapter_digest, done.ledgers, done.replies)
        assert done.record == end
        assert extend(end, "run", done.number, done.adapter_digest, done.ledgers, {"north": "f" * 64}) != end
        assert extend(end, "run", done.number, "f" * 64, done.ledgers) != end
        assert extend(end, "run", done.number, done.adapter_digest, {"north": ChainHead()}) != end


def test_a_report_lists_no_digest_of_replies_without_noise_because_it_would_confirm_a_guess(server: Any) -> None:
    fleet = ToyFleet({"north": honest(toy_state(1.0))})
    [done] = server(privacy__enabled=False).run(fleet, UNIFORM)
    assert (done.accepted, done.replies) == (("north",), {})


class Booked:
    """A site with a ledger of its own: it refuses a head that it does not hold, and answers a round once."""

    def __init__(self, norm: float = 1.0) -> None:
        self.delta, self.entries, self.sent = toy_state(norm), 1, dict[tuple[str, int], ChainHead]()
        self.asked = list[ChainHead]()

    def __call__(self, order: TrainOrder, site: str) -> Answer:
        self.asked.append(order.ledger)
        if order.ledger.entries > self.entries:
            return Answer(site, None, "LedgerError", 1, 0)
        if (order.run_id, order.round) not in self.sent:
            self.entries += 2
            self.sent[order.run_id, order.round] = head(self.entries, f"entry {self.entries - 1}")
        sent = self.sent[order.run_id, order.round]
        reply = TrainReply(order.run_id, order.round, order.nonce, site, self.delta, sent)
        return Answer(site, reply.to_record(), None, 1, 1)


@pytest.fixture
def running(server: Any, tmp_path: Path) -> Callable[..., list[Round]]:
    """Run a server that keeps its heads in a file, over a fleet of sites."""

    def run(sites: Mapping[str, Any], run_id: str = "run", **changes: Any) -> list[Round]:
        made, done = server(**changes), list[Round]()
        heads = Heads(tmp_path / "heads.json", str)
        try:
            for each in run_rounds(
                made.config,
                run_id,
                made.start,
                ToyFleet(sites),
                UNIFORM,
                lambda _: {},
                lambda _: None,
                sleep=lambda _: None,
                heads=heads,
            ):
                done.append(each)
        except QuorumError:
            pass
        return done

    return run


def test_the_first_order_of_a_new_run_carries_what_was_seen_in_the_last_one(running: Any) -> None:
    """Seen before: an older copy of a site's ledger, put back between two runs, was accepted in the second."""
    north = Booked()
    running({"north": north}, "first", training__rounds=2, cohort__quorum=1)
    assert north.entries == 5
    north.entries, north.sent = 3, {}  # its folder comes back from a backup
    [refused] = running({"north": north}, "second", cohort__quorum=1, cohort__attempts=1)
    assert north.asked[-1] == head(5, "entry 4")
    assert [bad.code for bad in refused.rejected] == ["LedgerError"]


def test_what_a_rejected_answer_and_an_abandoned_round_took_is_known_in_the_next_run(running: Any) -> None:
    north, south = Booked(), Booked(1e30)
    [abandoned] = running({"north": north, "south": south}, "first", cohort__quorum=2, cohort__attempts=1)
    assert not abandoned.committed
    assert [bad.reason for bad in abandoned.rejected] == ["norm"]
    running({"north": north, "south": south}, "second", cohort__quorum=2, cohort__attempts=1)
    assert north.asked == south.asked == [ChainHead(), head(3, "entry 2")]


def test_a_reply_to_a_round_that_is_tried_again_is_taken_though_its_ledger_did_not_grow(running: Any) -> None:
    """It was paid for in the attempt that found no quorum; the site sends the same reply again."""
    north, late = Booked(), Booked()

    def comes_late(order: TrainOrder, site: str) -> Answer | list[Answer]:
        return late(order, site) if north.asked[1:] else []

    first, second = running({"north": north, "south": comes_late}, cohort__quorum=2, cohort__attempts=2)
    assert (first.committed, first.missing) == (False, ("south",))
    assert (second.committed, second.accepted) == (True, ("north", "south"))
    assert north.entries == 3


def test_a_server_that_died_after_an_answer_takes_the_same_answer_again(running: Any) -> None:
    north = Booked()
    running({"north": north}, cohort__quorum=2, cohort__attempts=1)
    [done] = running({"north": north}, cohort__quorum=1, cohort__attempts=1)  # the same run and round, in a new process
    assert done.accepted == ("north",)


def test_a_site_that_answers_a_new_round_from_an_old_ledger_is_rejected(running: Any) -> None:
    north = Booked()
    north.sent = {("run", number): head(3, "entry 2") for number in (1, 2)}
    north.entries = 3
    done = running({"north": north}, training__rounds=2, cohort__quorum=1, cohort__attempts=1)
    assert [bad.reason for bad in done[1].rejected] == ["ledger"]


def test_the_adapter_is_evaluated_after_every_nth_round_and_after_the_last(server: Any) -> None:
    fleet = ToyFleet({site: honest(toy_state(1.0)) for site in UNIFORM})
    run = server(training__rounds=5, evaluation__every=2)
    rounds = run.run(fleet, UNIFORM)
    assert [bool(done.metrics) for done in rounds] == [False, True, False, True, True]
    assert [adapter.digest() for adapter in run.measured] == [rounds[n].adapter_digest for n in (1, 3, 4)]
    assert [from_row(to_row(done), done.adapter).metrics for done in rounds] == [done.metrics for done in rounds]
