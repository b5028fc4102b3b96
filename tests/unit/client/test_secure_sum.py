"""A site in a secure sum: exact sums, one charge an attempt before anything leaves, and one answer."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from fixture_types import Change, ConfigOf, OpenBudget
from one_site import site_of

from client import secure_sum as module
from client import site as site_module
from client.outbox import Outbox
from client.secure_sum import SecureSum
from privacy.budget import Budget, Limit
from privacy.dp.plan import PrivacyPlan
from privacy.dp.run_plans import plan_for_site
from privacy.fingerprint import Dataset
from privacy.ledger import Ledger
from privacy.secagg.noise_shares import NoiseShares
from privacy.secagg.protocol import Participant, total
from privacy.secagg.roster import SIGNED_WITH, Roster
from privacy.secagg.shared_plan import SharedNoise
from shared.adapters.peft import read_adapter
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import HushtuneError, LedgerError, MessageError, PrivacyError
from shared.identity.keys import new_key
from shared.wire.announcement import Announcement
from shared.wire.messages import TrainOrder
from shared.wire.secure_messages import MaskedOrder, MaskedReply, ReadyReply, words_digest

NAMES, D = ("east", "north", "south"), 40
SHARED = SharedNoise(sites=3, fewest=3, colluders=1, expected_batch=30.0, slack=0.0)
PLAN = PrivacyPlan(0.2, 1.0, 0.5, 1, 3, 1e-4, 100, trust="distributed", shared=SHARED)


class Three:
    """Three sites that have pinned each other's keys, each with a ledger of its own."""

    def __init__(self, folder: Path, config: RunConfig) -> None:
        self.folder, self.config = folder, config
        self.keys = {name: new_key() for name in NAMES}
        self.sites = {name: self.start(name) for name in NAMES}
        self.adapter = AdapterState({"b": np.zeros(D, np.float32)})

    def start(self, name: str) -> SecureSum:
        roster = Roster({site: key.public_key() for site, key in self.keys.items()})
        member = Participant(name, self.keys[name], roster, 3, 1)
        return SecureSum(name, PLAN, self.budget(name), member, Outbox(self.folder / f"outbox-{name}"))

    def budget(self, name: str) -> Budget:
        records = Dataset([(bytes([i]) * 16,) for i in range(30)])
        return Budget(Ledger(self.folder / name, name), records, Limit(1000.0, 1e-4))

    def order(self, nonce: str = "one", number: int = 1) -> TrainOrder:
        return TrainOrder("run", number, nonce, self.config, self.adapter, 3, "0.1.0")

    def ready(self, nonce: str = "one", number: int = 1) -> MaskedOrder:
        order = self.order(nonce, number)
        sums = {name: torch.full((D,), 0.1 * place, dtype=torch.float64) for place, name in enumerate(NAMES)}
        replies = [site.announce(order, "digest", sums[name]) for name, site in self.sites.items()]
        return MaskedOrder("run", number, nonce, tuple(reply.announced for reply in replies))

    def signed(self, name: str, key: bytes) -> Announcement:
        """Return the announcement of another key in the attempt that is open at a site."""
        held = self.sites[name]._open
        assert held is not None
        return Announcement(name, key, self.keys[name].sign(held.attempt.message(name, key), SIGNED_WITH))

    def charged(self, name: str) -> int:
        return len(self.budget(name).rounds("run"))


@pytest.fixture
def three(tmp_path: Path, config_of: ConfigOf) -> Three:
    return Three(tmp_path, config_of())


def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NoiseShares, "noised", lambda self, steps: steps.numpy().astype(np.uint32))


def test_without_noise_the_sum_is_exact(three: Three, monkeypatch: pytest.MonkeyPatch) -> None:
    silent(monkeypatch)
    order = three.ready()
    added = total([site.masked(order).vector for site in three.sites.values()]).view(np.int32)
    shares = PLAN.shares(D, 3)
    assert np.array_equal(added, np.rint([0.1 / shares.grid] * D) + np.rint([0.2 / shares.grid] * D))
    assert [three.charged(name) for name in NAMES] == [1, 1, 1]


def test_an_attempt_is_charged_before_noise_is_drawn(three: Three, monkeypatch: pytest.MonkeyPatch) -> None:
    order, seen = three.ready(), []
    original = NoiseShares.noised

    def noised(self: NoiseShares, steps: torch.Tensor) -> Any:
        seen.append(three.charged("east"))
        return original(self, steps)

    monkeypatch.setattr(NoiseShares, "noised", noised)
    three.sites["east"].masked(order)
    assert seen == [1]
    [body] = [entry.body for entry in three.budget("east").ledger.entries() if entry.kind == "reserve"]
    assert len(body["start"]) == 64  # of the adapter, for a receipt


def test_asked_again_the_same_vector_leaves_and_for_a_second_list_none_and_nothing_is_charged(three: Three) -> None:
    order = three.ready()
    first, again = three.sites["east"].masked(order), three.sites["east"].masked(order)
    assert np.array_equal(first.vector, again.vector)
    closed = [entry.body for entry in three.budget("east").ledger.entries() if entry.kind == "commit"]
    assert [body["reply"] for body in closed] == [words_digest(MaskedReply.from_record(first.to_record()).vector)]
    with pytest.raises(HushtuneError):
        three.sites["east"].masked(replace(order, announcements=order.announcements[::-1]))
    assert three.charged("east") == 1


def test_a_site_that_was_killed_between_charge_and_reply_never_answers_the_attempt(
    three: Three, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = three.ready()
    monkeypatch.setattr(module.faults, "point", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        three.sites["east"].masked(order)
    monkeypatch.undo()
    for site in (three.sites["east"], three.start("east")):
        with pytest.raises(MessageError, match="no first phase of this attempt is open here"):
            site.masked(order)
    three.sites["east"] = three.start("east")  # the same attempt, begun anew with another key, stays spent
    with pytest.raises(LedgerError, match="was reserved before and stays spent"):
        three.sites["east"].masked(three.ready())
    assert three.charged("east") == 1
    three.sites["east"].masked(three.ready("two"))
    assert three.charged("east") == 2


def test_a_list_that_is_not_sound_costs_nothing_and_gets_nothing(three: Three) -> None:
    order = three.ready()
    own, peer, third = order.announcements
    without_secret = three.signed(peer.site_id, key=bytes(32))  # a point of small order
    for forged in (
        order.announcements[:2],
        (*order.announcements[:2], order.announcements[1]),
        order.announcements[1:],
        (own, without_secret, third),
    ):
        with pytest.raises((MessageError, PrivacyError)):
            three.sites["east"].masked(replace(order, announcements=forged))
    assert three.charged("east") == 0


def test_the_attempts_of_a_run_are_counted_whatever_came_of_them(three: Three) -> None:
    for attempt in range(PLAN.rounds):
        three.sites["east"].masked(three.ready(f"attempt-{attempt}"))
    with pytest.raises(LedgerError, match="the 3 attempts of run run are used up"):
        three.sites["east"].masked(three.ready("one-more", 2))
    assert three.charged("east") == PLAN.rounds
    assert three.budget("east").spent().epsilon == pytest.approx(PLAN.epsilon())


def test_sites_of_other_plans_do_not_agree_on_masks(three: Three) -> None:
    other = replace(PLAN, noise_multiplier=1.1)
    three.sites["east"]._plan = other
    order = three.ready()
    with pytest.raises(MessageError, match="is not signed with the key"):
        three.sites["north"].masked(order)


def test_messages_keep_their_content_and_their_form(three: Three) -> None:
    order = three.ready()
    assert MaskedOrder.from_record(order.to_record()) == order
    reply = three.sites["east"].masked(order)
    back = MaskedReply.from_record(reply.to_record())
    assert np.array_equal(back.vector, reply.vector)
    assert (back.site_id, back.ledger, back.nonce) == (reply.site_id, reply.ledger, reply.nonce)
    announced = ReadyReply("run", 1, "one", order.announcements[0])
    assert ReadyReply.from_record(announced.to_record()) == announced
    for wrong in (order.to_record(), reply.to_record()):
        with pytest.raises(MessageError):
            ReadyReply.from_record(wrong)
    record = reply.to_record()
    del record["header"]["site_id"]  # type: ignore[arg-type, index, union-attr]
    with pytest.raises(MessageError):
        MaskedReply.from_record(record)


def test_a_site_of_a_shared_noise_answers_no_order_to_train_alone(
    classify: RunConfig,
    change: Change,
    learner_of: Callable[..., Any],
    records_of: Callable[..., Any],
    open_budget: OpenBudget,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sites = [{"id": name, "file": "x.jsonl", "declared_size": 100} for name in NAMES]
    changes = {"aggregation.weights": "declared", "aggregation.optimiser": "sgd", "training.steps": 1, "data.sites": sites}
    config = change(classify, {**changes, "privacy.trust": "distributed", "cohort.quorum": 3})
    plan, keys = plan_for_site(config, 100), {name: new_key() for name in NAMES}
    roster = Roster({name: key.public_key() for name, key in keys.items()})
    member, learner = Participant("north", keys["north"], roster, 3, 1), learner_of(config)
    with pytest.raises(PrivacyError, match="its privacy plan is not that of this run"):
        site_of("north", 100, config, records_of(config, 30), learner, None, open_budget("north"))
    site = site_of("north", 100, config, records_of(config, 30), learner, plan, open_budget("north"), participant=member)
    order = TrainOrder("run", 1, "one", config, read_adapter(learner.model), 3, "0.1.0")
    with pytest.raises(MessageError, match="answers only orders for a secure sum"):
        site.train(order)
    first = site.ready(order)
    monkeypatch.setattr(site_module, "clipped_sum", None)
    assert site.ready(order) == first  # the same order draws no second batch
    assert site.budget.rounds("run") == ()
