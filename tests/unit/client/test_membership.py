"""A real site in secure sums, behind its own file: its key, its roster, its policy, its log of questions and its outbox."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fixture_types import Change, LearnerOf
from site_toml import tiny_site, with_policy, write_records
from stand_ins import stand_in

from client import secure_sum as module
from client.membership import participant_of
from client.outward_codes import outward_code
from client.service import Service
from client.set_up import Host
from privacy.entries import read
from privacy.secagg.protocol import Attempt, Participant, total
from privacy.secagg.roster import Roster
from shared.adapters.peft import read_adapter
from shared.config.run import RunConfig
from shared.errors import ConfigError, Declined, HushtuneError, MessageError, PolicyRefused, PrivacyError
from shared.identity.keys import make_site_key, new_key
from shared.models.wheels import sha256_file
from shared.ops.runlog import RunLog
from shared.wire.messages import TrainOrder, outgoing
from shared.wire.secure_messages import MaskedOrder, MaskedReply
from shared.wire.version import installed

NAMES = ("east", "north", "south")
POLICY = 'trust = ["distributed", "local"]\nsecure_sums = true\nmin_cohort = 3'
SHARED: Mapping[str, Any] = {
    "data.source": "sites",
    "data.sites": [{"id": name, "declared_size": 100} for name in NAMES],
    "privacy.trust": "distributed",
    "privacy.spare_attempts": 1.0,
    "training.steps": 1,
    "training.rounds": 2,
    "aggregation.weights": "declared",
    "aggregation.optimiser": "adamw",
    "cohort.quorum": 3,
}


class North:
    """Site north as a real site, with the keys of two peers that follow the protocol."""

    def __init__(self, folder: Path, model: Path, config: RunConfig, adapter: Any) -> None:
        self.config, self.adapter = config, adapter
        self.file = tiny_site(folder, model, POLICY, columns='{ text = "text", label = "label" }')
        write_records(self.file.data.file, 12)
        self.keys = {name: new_key() for name in NAMES} | {"north": make_site_key(self.file.server.key)}
        self.pin(self.keys)
        self.host = self.start()

    def pin(self, keys: Mapping[str, ec.EllipticCurvePrivateKey]) -> None:
        Roster({name: key.public_key() for name, key in keys.items()}).write(self.file.server.roster)

    def start(self) -> Host:
        self.host = Host(self.file, lambda *_, **__: None)
        return self.host

    def order(self, nonce: str = "one", number: int = 1, **header: Any) -> TrainOrder:
        order = TrainOrder("run", number, nonce, self.config, self.adapter, 3, installed())
        return replace(order, **header)

    def second(self, order: TrainOrder, names: Sequence[str] = NAMES) -> tuple[MaskedOrder, dict[str, Participant], Attempt]:
        """Carry out the first phase at all sites; return the order of the second, and the peers."""
        mine = self.host.ready(order).announced
        site = self.host._site
        assert site is not None
        assert site._sums is not None
        attempt = site._sums._attempt(order, order.config.digest())
        roster = Roster({name: key.public_key() for name, key in self.keys.items()})
        peers = {n: Participant(n, self.keys[n], roster, 2, 0) for n in names if n != "north"}
        listed = (mine, *(peer.announce(attempt) for peer in peers.values()))
        return MaskedOrder("run", order.round, order.nonce, listed), peers, attempt

    def charged(self) -> int:
        path = self.file.ledger / "ledger.jsonl"
        return sum(entry.kind == "reserve" for entry in read(path)) if path.exists() else 0


DELTAS: Mapping[str, Any] = {
    "data.source": "sites",
    "data.sites": SHARED["data.sites"],
    "training.rounds": 2,
    "aggregation.secure_sums": True,
    "cohort.quorum": 3,
}


@pytest.fixture
def north(
    tmp_path: Path,
    classify: RunConfig,
    change: Change,
    learner_of: LearnerOf,
    tiny_bert: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> North:
    names = {"model.name": "tiny", "model.sha256": sha256_file(tiny_bert / "model.safetensors")}
    kind = SHARED if getattr(request, "param", "shared") == "shared" else DELTAS
    config, learner = change(classify, {**kind, **names}), learner_of(classify)
    stand_in(monkeypatch, learner)
    return North(tmp_path, tiny_bert, config, read_adapter(learner.model))


def test_a_site_adds_up_with_its_peers_charges_once_and_sends_the_same_vector_after_a_restart(north: North) -> None:
    order, peers, attempt = north.second(north.order())
    reply = north.host.masked(order)
    zeros = np.zeros(len(reply.vector), np.uint32)
    rest = total([peer.mask(attempt, order.announcements, zeros) for peer in peers.values()])
    noise = (reply.vector + rest).view(np.int32).astype(np.float64)
    site = north.host._site
    assert site is not None
    assert site.plan is not None
    assert noise.std() == pytest.approx(site.plan.shares(len(zeros), 3).share_std, rel=0.2)  # or the masks had not cancelled
    assert north.charged() == 1
    for host in (north.host, north.start()):
        again = host.masked(order)
        assert np.array_equal(again.vector, reply.vector)
        assert again.ledger == reply.ledger
    assert north.charged() == 1
    assert north.file.set_ups.count().failures == 0


def test_what_leaves_in_both_phases_are_public_fields_of_one_size_whatever_the_batch(north: North) -> None:
    for nonce in ("one", "two"):
        ready = north.host.ready(north.order(nonce)).to_record()
        north.file.policy.permit_reply(*outgoing(ready))
        assert outgoing(ready) == (frozenset({"run_id", "round", "nonce", "site_id", "key", "signature"}), 0)
        order, *_ = north.second(north.order(nonce))
        fields, size = outgoing(north.host.masked(order).to_record())
        north.file.policy.permit_reply(fields, size)
        assert fields == {"run_id", "round", "nonce", "site_id", "ledger_entries", "ledger_hash"}
        assert 0 < size - 4 * north.adapter.parameters < 200  # numpy's header


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_site_killed_between_charge_and_vector_never_answers_and_one_killed_after_it_answers_the_same(
    north: North, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, *_ = north.second(north.order())
    with monkeypatch.context() as patch:
        patch.setattr(module.faults, "point", lambda name, _: killed() if name == "reserved" else None)
        with pytest.raises(KeyboardInterrupt):
            north.host.masked(order)
    with pytest.raises(MessageError, match="no first phase of this attempt is open here"):
        north.start().masked(order)
    assert north.charged() == 1
    order, *_ = north.second(north.order("two"))
    with monkeypatch.context() as patch:
        patch.setattr(module.faults, "point", lambda name, _: killed() if name == "finished" else None)
        with pytest.raises(KeyboardInterrupt):
            north.host.masked(order)
    reply = north.start().masked(order)
    assert north.charged() == 2
    assert np.array_equal(reply.vector, north.start().masked(order).vector)
    with pytest.raises(MessageError, match="answered for another adapter or another list of sites"):
        north.start().masked(replace(order, announcements=order.announcements[::-1]))
    assert north.charged() == 2


FORGED: Mapping[str, tuple[Callable[[North, MaskedOrder], MaskedOrder], str]] = {
    "fewer sites than the policy wants": (lambda n, o: replace(o, announcements=o.announcements[:2]), "PrivacyError"),
    "a site left out": (lambda n, o: replace(o, announcements=o.announcements[1:]), "MessageError"),
    "an invented site": (
        lambda n, o: replace(
            o, announcements=(*o.announcements, replace(o.announcements[1], site_id="west", key=bytes(32)))
        ),
        "MessageError",
    ),
    "another key for a peer": (
        lambda n, o: replace(o, announcements=(*o.announcements[:2], replace(o.announcements[2], key=b"k" * 32))),
        "MessageError",
    ),
    "another attempt": (lambda n, o: replace(o, nonce="other"), "MessageError"),
    "another round": (lambda n, o: replace(o, round=2), "MessageError"),
    "another run": (lambda n, o: replace(o, run_id="other"), "MessageError"),
}


def test_a_forged_list_gets_a_reason_no_vector_and_costs_nothing(north: North) -> None:
    order, *_ = north.second(north.order())
    for name, (forge, code) in FORGED.items():
        with pytest.raises(HushtuneError) as caught:
            north.host.masked(forge(north, order))
        assert outward_code(caught.value) == code, name
    assert north.charged() == 0
    assert not north.file.outbox.exists()
    assert isinstance(north.host.masked(order), MaskedReply)  # the attempt itself is still open


def test_a_peer_that_changed_its_key_is_refused_until_the_steward_pins_the_new_one(north: North) -> None:
    north.keys["south"] = new_key()
    order, *_ = north.second(north.order())
    with pytest.raises(MessageError, match=r"site south is not signed with the key in ROSTER\.toml"):
        north.host.masked(order)
    assert north.charged() == 0
    north.pin(north.keys)
    north.start()
    order, *_ = north.second(north.order("two"))
    assert isinstance(north.host.masked(order), MaskedReply)


def test_a_failure_that_may_depend_on_records_is_declined_in_both_phases(
    north: North, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("client.site.clipped_sum", Mock(side_effect=MemoryError()))
        with pytest.raises(Declined):
            north.host.ready(north.order())
    order, *_ = north.second(north.order("two"))
    monkeypatch.setattr("privacy.budget.Budget.reserve", Mock(side_effect=PrivacyError("budget exhausted: 3.2 of 4")))
    with pytest.raises(Declined):
        north.host.masked(order)
    assert north.file.set_ups.count().failures == 2


def test_first_phases_without_a_second_are_counted_and_a_server_cannot_ask_for_them_without_end(north: North) -> None:
    north.host.ready(north.order("again"))
    north.host.ready(north.order("again"))  # the same attempt draws no second batch
    assert north.file.set_ups.count().failures == 1
    asked = 0
    with pytest.raises(PolicyRefused, match="max_failures"):
        for asked in range(1, 100):  # another nonce, or the same with another attempt, is another batch
            north.host.ready(north.order("again" if asked % 2 else f"nonce-{asked}", attempt=asked + 1))
    assert asked == north.file.policy.max_failures
    assert north.charged() == 0


def test_an_order_of_one_trust_model_in_the_message_of_another_is_refused_before_a_record_is_read(north: North) -> None:
    local = replace(north.order(), config=north.config.model_copy(update={"privacy": type(north.config.privacy)()}))
    for ask, order in ((north.host.train, north.order()), (north.host.ready, local)):
        with pytest.raises(MessageError, match="its message is of type"):
            cast(Any, ask)(order)
    assert not north.file.set_ups.count().set_ups


def test_a_run_that_plans_for_fewer_colluders_than_the_policy_wants_is_refused(north: North, change: Change) -> None:
    order = replace(north.order(), config=change(north.config, {"privacy.colluders": 0}))
    with pytest.raises(PolicyRefused, match=r"policy\.colluders: the order plans for 0 colluding sites"):
        north.host.ready(order)


def test_a_site_that_computes_more_coarsely_than_the_noise_is_planned_for_takes_no_part(north: North) -> None:
    coarse = north.file.model_copy(update={"model": north.file.model.model_copy(update={"dtype": "bfloat16"})})
    with pytest.raises(PolicyRefused, match=r"model\.dtype"):
        participant_of(coarse, north.config, coarse.carried_out(north.config))


ROSTERS: Mapping[str, Callable[[North], None]] = {
    "is not this site's own key": lambda n: n.pin({**n.keys, "north": new_key()}),
    "pins 2 sites, with this one, and the policy asks for 3": lambda n: n.pin({k: n.keys[k] for k in ("east", "north")}),
    "cannot read": lambda n: n.file.server.roster.unlink(),
}


@pytest.mark.parametrize("north", ["shared", "deltas"], indirect=True)
def test_without_a_sound_roster_a_site_takes_no_part_and_reads_no_record(north: North) -> None:
    for says, spoil in ROSTERS.items():
        north.pin(north.keys)
        spoil(north)
        with pytest.raises(ConfigError, match=says) as caught:
            north.start().ready(north.order())
        assert "\n" not in str(caught.value)
    assert not north.file.set_ups.count().set_ups


def test_the_service_logs_both_phases_and_knows_when_the_run_may_be_over(north: North) -> None:
    north.file.site.state.mkdir(exist_ok=True)
    log = RunLog(north.file.site.state / "events.jsonl")
    told: list[str] = []
    telling = cast(Any, SimpleNamespace(order=lambda _, outcome, code=None: told.append(outcome), step=lambda _: None))
    service = Service(north.file, log, telling, wait=lambda _: None)
    north.host = service._host
    for number, nonce in ((1, "one"), (2, "two")):
        assert not service.finished
        service.ready(north.order(nonce, number))
        order, *_ = north.second(north.order(nonce, number))  # the same attempt
        service.masked(order)
    assert service.finished
    with suppress(MessageError):
        service.masked(replace(order, nonce="other"))
    assert told == ["training", "training", "sent"] * 2 + ["training", "refused"]
    events = [json.loads(line)["event"] for line in log.path.read_text().splitlines()]
    assert [event for event in events if event != "step"] == ["order", "ready", "order", "masked"] * 2 + ["order", "refused"]


of_deltas = pytest.mark.parametrize("north", ["deltas"], indirect=True)


@of_deltas
def test_a_delta_is_trained_and_charged_once_and_masked_anew_in_each_attempt_also_after_a_restart(
    north: North, monkeypatch: pytest.MonkeyPatch
) -> None:
    unmasked = []
    for nonce in ("one", "two"):
        order, peers, attempt = north.second(north.order(nonce))
        reply = north.host.masked(order)
        zeros = np.zeros(len(reply.vector), np.uint32)
        rest = total([peer.mask(attempt, order.announcements, zeros) for peer in peers.values()])
        unmasked.append(reply.vector + rest)
        assert north.charged() == 1
        with pytest.raises(MessageError, match="another list of sites"):  # asked again: its key is used up
            north.host.masked(order)
        north.start()
        monkeypatch.setattr("client.site.train", Mock(side_effect=AssertionError("trained again")))
    assert np.array_equal(unmasked[0], unmasked[1])
    assert unmasked[0].any()
    assert north.file.set_ups.count().failures == 0


@of_deltas
def test_a_site_that_lost_its_delta_after_the_announcement_trains_no_other_one_for_the_same_charge(north: North) -> None:
    north.host.ready(north.order())
    shutil.rmtree(north.file.outbox)  # rounds of four other runs, or three later rounds, push the delta out too
    with pytest.raises(Declined) as caught:
        north.start().ready(north.order("two"))
    assert "trained and answered before" in str(caught.value.__cause__)
    assert north.charged() == 1


@of_deltas
def test_no_order_gets_a_second_sum_over_other_sites_or_a_delta_without_masks(
    north: North, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    north.keys["west"] = new_key()
    north.pin(north.keys)
    north.host.masked(north.second(north.order())[0])
    wider, *_ = north.second(north.order("two"), (*NAMES, "west"))
    with pytest.raises(MessageError, match="a second sum over other sites would show single deltas"):
        north.host.masked(wider)
    weighted = change(north.config, {"aggregation.weights": "declared"})
    plain = change(north.config, {"aggregation.secure_sums": False})
    with pytest.raises(PolicyRefused, match=r"policy\.secure_sums: the order asks for this site's own delta"):
        north.host.train(replace(north.order("three"), config=plain))
    north.file = with_policy(north.file, secure_sums=False)
    for ask, config in ((north.start().ready, weighted), (north.start().train, plain)):
        with pytest.raises(Declined) as caught:
            cast(Any, ask)(replace(north.order("four"), config=config))
        assert "answered for another adapter" in str(caught.value.__cause__)
    assert north.charged() == 1
