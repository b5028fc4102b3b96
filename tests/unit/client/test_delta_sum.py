"""A site in a secure sum of deltas: one charge, one list of sites, and other words in each attempt."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from fixture_types import ConfigOf

from client.outbox import Finished, Outbox
from client.secure_sum import DeltaSum
from privacy.budget import Budget, Limit
from privacy.dp.plan import PrivacyPlan
from privacy.fingerprint import Dataset
from privacy.ledger import Ledger
from privacy.secagg.delta_grid import DeltaGrid
from privacy.secagg.protocol import Participant, total
from privacy.secagg.roster import Roster
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import LedgerError, MessageError, PrivacyError
from shared.identity.keys import new_key
from shared.wire.chain_head import ChainHead
from shared.wire.messages import TrainOrder
from shared.wire.secure_messages import MaskedOrder, words_digest

NAMES, D = ("east", "north", "south", "west"), 40
PLAN = PrivacyPlan(0.2, 1.0, 0.5, 2, 3, 1e-4, 100)
GRID = DeltaGrid(dict.fromkeys(NAMES, 1.0), 100.0, 3)


class Four:
    """Four sites that have trained, charged and stored a round, each with a ledger of its own."""

    def __init__(self, folder: Path, config: RunConfig) -> None:
        self.folder, self.config, self.adapter = folder, config, AdapterState({"b": np.zeros(D, np.float32)})
        self.keys = {name: new_key() for name in NAMES}
        self.place = DeltaSum.place(self.adapter.digest(), "digest")
        self.sites = {name: self.start(name) for name in NAMES}
        for place, name in enumerate(NAMES):
            self.budget(name).reserve("run", 1, PLAN, ChainHead())
            delta = AdapterState({"b": np.full(D, 0.25 * place - 0.5, np.float32)})
            self.outbox(name).store("run", 1, self.place, Finished(delta))

    def start(self, name: str) -> DeltaSum:
        roster = Roster({site: key.public_key() for site, key in self.keys.items()})
        member = Participant(name, self.keys[name], roster, 3, 1)
        return DeltaSum(name, GRID, self.budget(name), member, self.outbox(name))

    def outbox(self, name: str) -> Outbox:
        return Outbox(self.folder / f"outbox-{name}")

    def budget(self, name: str) -> Budget:
        records = Dataset([(bytes([i]) * 16,) for i in range(30)])
        return Budget(Ledger(self.folder / name, name), records, Limit(1000.0, 1e-4))

    def ready(self, nonce: str, names: tuple[str, ...] = NAMES) -> MaskedOrder:
        order = TrainOrder("run", 1, nonce, self.config, self.adapter, 4, "0.1.0")
        stored = {name: self.outbox(name).stored("run", 1, self.place) for name in names}
        replies = [self.sites[name].announce(order, "digest", held) for name, held in stored.items() if held]
        return MaskedOrder("run", 1, nonce, tuple(reply.announced for reply in replies))

    def written(self, name: str, kind: str) -> list[str | None]:
        return [entry.body.get("reply") for entry in self.budget(name).ledger.entries() if entry.kind == kind]


@pytest.fixture
def four(tmp_path: Path, config_of: ConfigOf) -> Four:
    return Four(tmp_path, config_of())


def test_each_attempt_sends_other_words_of_the_same_delta_under_other_keys_and_charges_nothing(four: Four) -> None:
    orders = [four.ready("one")]
    sent = [[four.sites[name].masked(orders[0]) for name in NAMES]]
    four.sites = {name: four.start(name) for name in NAMES}  # the processes start again
    orders.append(four.ready("two"))
    sent.append([four.sites[name].masked(orders[1]) for name in NAMES])
    keys = [{each.key for each in order.announcements} for order in orders]
    assert not keys[0] & keys[1]
    for first, second in zip(*sent, strict=True):
        assert np.mean(first.vector == second.vector) < 0.1  # nothing but chance
        assert second.ledger.entries == first.ledger.entries + 1
    for replies in sent:
        np.testing.assert_array_equal(GRID.mean(total([reply.vector for reply in replies]), NAMES), np.full(D, -0.125))
    for place, name in enumerate(NAMES):
        assert len(four.written(name, "reserve")) == 1
        digests = [words_digest(replies[place].vector) for replies in sent]  # for receipts
        assert four.written(name, "commit") == [None, *digests]  # closed by the announcement, before anything left
        assert four.budget(name).spent().epsilon == pytest.approx(replace(PLAN, rounds=1).epsilon())


def test_a_delta_leaves_for_one_list_of_sites_only_because_two_sums_would_show_a_single_one(four: Four) -> None:
    first = four.ready("one")
    four.sites["north"].masked(first)
    four.sites["north"] = four.start("north")
    fewer = four.ready("two", NAMES[:3])
    with pytest.raises(MessageError, match="was added up with east, north, south, west, and a second sum over other sites"):
        four.sites["north"].masked(fewer)
    four.sites["east"].masked(fewer)  # from which no vector had left yet
    assert len(four.written("north", "commit")) == 2  # of the announcement, and of the one vector
    with pytest.raises(MessageError, match="answered for another adapter"):  # or the same deltas with other weights
        four.outbox("north").stored("run", 1, DeltaSum.place(four.adapter.digest(), "other digest"))
    with pytest.raises(MessageError, match="answered for another adapter"):  # or without masks
        four.outbox("north").stored("run", 1, four.adapter.digest())


def test_the_list_is_on_the_disk_before_a_vector_is_made(four: Four, monkeypatch: pytest.MonkeyPatch) -> None:
    order = four.ready("one")
    with monkeypatch.context() as patch:
        patch.setattr(Participant, "mask", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            four.sites["north"].masked(order)
    stored = four.outbox("north").stored("run", 1, four.place)
    assert stored is not None
    assert stored.sites == NAMES
    with pytest.raises(MessageError, match="no first phase of this attempt is open here"):  # the key is used up
        four.sites["north"].masked(order)


def test_a_list_that_is_not_sound_gets_nothing_and_binds_the_delta_to_nothing(four: Four) -> None:
    order = four.ready("one")
    listed = order.announcements
    for forged in (listed[:2], (*listed[:3], listed[2]), (listed[0], *listed[2:])):
        with pytest.raises((MessageError, PrivacyError)):
            four.sites["north"].masked(replace(order, announcements=forged))
    assert four.written("north", "commit") == [None]  # of the announcement
    four.sites["north"].masked(order)


def test_a_site_whose_delta_is_too_long_or_of_another_form_announces_no_key(four: Four) -> None:
    long = Finished(AdapterState({"b": np.full(D, 100.0, np.float32)}))
    order = TrainOrder("run", 1, "one", four.config, four.adapter, 4, "0.1.0")
    with pytest.raises(PrivacyError, match="ask the operator to raise it"):
        four.sites["north"].announce(order, "digest", long)
    with pytest.raises(LedgerError, match="trained and answered before"):  # the refusal tells something about this delta
        four.budget("north").reserve("run", 1, PLAN, ChainHead())
    other = Finished(AdapterState({"c": np.zeros(D, np.float32)}))
    with pytest.raises(MessageError, match="other tensors than the order's adapter"):
        four.sites["north"].announce(order, "digest", other)
    assert not four.sites["north"].is_open(order)
