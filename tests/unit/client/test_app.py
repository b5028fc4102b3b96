from collections.abc import Callable, Iterable
from typing import Any, cast

import numpy as np
import pytest
from fixture_types import ConfigOf
from flwr.app import Context, Message, MessageType, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client.app import client_app
from privacy.policy import SitePolicy
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import PolicyRefused
from shared.wire.messages import TrainOrder, TrainReply

DELTA = AdapterState({"b": np.zeros((10, 10), np.float32)})
POLICY = SitePolicy(dataset_epsilon=8.0, tasks=("classification",), models=(), max_bytes_out=1000)


class Answers:
    """A site that gives one reply to any order to train."""

    def __init__(self, reply: TrainReply) -> None:
        self.reply = reply

    def train(self, order: TrainOrder) -> TrainReply:
        return self.reply


def ask(config: RunConfig, reply: TrainReply, permit: Callable[[Iterable[str], int], None] | None) -> Message:
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
    order = TrainOrder("run", 1, "nonce", config, DELTA, 2, "0.1.0")
    message = Message(order.to_record(), 1, MessageType.TRAIN)
    message.metadata.__dict__["_message_id"] = "1"
    context = Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config={}, series_id=1)
    return client_app(cast(Any, Answers(reply)), permit)(message, context)


def test_a_reply_within_the_policy_leaves_as_it_is(config_of: ConfigOf) -> None:
    reply = TrainReply("run", 1, "nonce", "north", DELTA)
    assert TrainReply.from_record(ask(config_of(), reply, POLICY.permit_reply).content).run_id == "run"


def test_a_reply_with_a_field_that_the_policy_does_not_know_stays_here(config_of: ConfigOf) -> None:
    class Talkative(TrainReply):
        def to_record(self) -> RecordDict:
            record = super().to_record()
            record["header"]["patients"] = 412
            return record

    with pytest.raises(PolicyRefused, match="would be answered with patients"):
        ask(config_of(), Talkative("run", 1, "nonce", "north", DELTA), POLICY.permit_reply)


def test_a_reply_that_is_too_large_stays_here(config_of: ConfigOf) -> None:
    large = AdapterState({"b": np.zeros((10, 100), np.float32)})
    with pytest.raises(PolicyRefused, match="max_bytes_out"):
        ask(config_of(), TrainReply("run", 1, "nonce", "north", large), POLICY.permit_reply)
