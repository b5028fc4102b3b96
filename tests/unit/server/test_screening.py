import io
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fixture_types import ConfigOf
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from screened import head, screen

from server.screening import Accepted, Answer, Rejected
from shared.adapters.state import AdapterState
from shared.wire.encodings import as_replied
from shared.wire.messages import TrainOrder, TrainReply

ADAPTER = AdapterState({"b": np.ones((2, 3), dtype=np.float32), "a": np.ones(2, dtype=np.float32)})
DELTA = AdapterState({name: array * 0.5 for name, array in ADAPTER.arrays.items()})


@pytest.fixture
def order(config_of: ConfigOf) -> TrainOrder:
    return TrainOrder("run", 3, "nonce", config_of(), ADAPTER, 3, "0.1.0")


def answer(reply: TrainReply) -> Answer:
    return Answer("north", reply.to_record(), None, 1, 1)


def reply(**changes: Any) -> TrainReply:
    return replace(TrainReply("run", 3, "nonce", "north", DELTA, head(2, "h")), **changes)


def rejected(order: TrainOrder, given: Answer, max_norm: float = 100.0) -> Rejected:
    verdict = screen(given, order, max_norm)
    assert isinstance(verdict, Rejected)
    assert verdict.site_id == "north"
    return verdict


def test_an_honest_reply_is_accepted_as_it_is(order: TrainOrder) -> None:
    verdict = screen(answer(reply()), order, 100.0)
    assert isinstance(verdict, Accepted)
    assert verdict.site_id == "north"
    assert verdict.delta.digest() == DELTA.digest()


def test_a_ledger_that_did_not_grow_is_rejected(order: TrainOrder) -> None:
    """A site writes each round down before it trains; an answer without a new entry was not charged."""
    known = replace(order, ledger=head(4, "h"))
    assert rejected(known, answer(reply(ledger=head(4, "h")))).reason == "ledger"
    assert isinstance(screen(answer(reply(ledger=head(6, "h"))), known, 100.0), Accepted)


def test_sums_are_released_when_the_plan_has_them_and_only_then(config_of: ConfigOf) -> None:
    sums = {"loss": 3.5, "hits": 2.0, "records": 9.0}
    for asked, released in ((True, {}), (False, sums)):
        config = config_of({"privacy.release": "metrics"} if asked else {})
        order = TrainOrder("run", 3, "nonce", config, ADAPTER, 3, "0.1.0")
        assert rejected(order, answer(reply(released=released))).reason == "released"
        other = screen(answer(reply(released={} if released else sums)), order, 100.0)
        assert isinstance(other, Accepted)
        assert other.released == ({} if released else sums)


def test_the_bound_holds_for_the_delta_that_is_decoded(config_of: ConfigOf) -> None:
    """A site may write any bytes, so its own norm counts for nothing."""
    order = TrainOrder("run", 3, "nonce", config_of({"aggregation.encoding": "int8"}), ADAPTER, 3, "0.1.0")
    small = reply(delta=as_replied(DELTA, "int8"), encoding="int8")
    assert isinstance(screen(answer(small), order, small.delta.norm), Accepted)
    assert rejected(order, answer(small), small.delta.norm * 0.999).reason == "norm"
    for scale, reason in ((b"\x80\x44", "norm"), (b"\x80\x7f", "not_finite"), (b"\xc0\x7f", "not_finite")):
        record = small.to_record()
        data = scale + bytes([127] * 8)
        record["adapter"] = ArrayRecord({"numbers": Array(np.frombuffer(data, np.uint8))})
        assert rejected(order, Answer("north", record, None, 1, 1)).reason == reason


@pytest.mark.parametrize(("encoding", "other"), list(itertools.permutations(["float32", "int8", "int4"], 2)))
def test_a_reply_in_another_encoding_than_the_run_s_is_rejected(config_of: ConfigOf, encoding: str, other: str) -> None:
    order = TrainOrder("run", 3, "nonce", config_of({"aggregation.encoding": encoding}), ADAPTER, 3, "0.1.0")
    assert rejected(order, answer(reply(encoding=other))).reason == "form"


def test_an_error_is_named_by_its_class(order: TrainOrder) -> None:
    verdict = rejected(order, Answer("north", None, "MemoryError", 1, 0))
    assert (verdict.reason, verdict.detail) == ("error", "MemoryError")


@pytest.mark.parametrize(
    "changes",
    [{"round": 2}, {"round": 0}, {"run_id": "other"}, {"nonce": "other"}, {"round": -3}],
    ids=["a round ago", "round 0", "another run", "another order", "a negative round"],
)
def test_a_reply_to_another_order_is_stale(order: TrainOrder, changes: dict[str, Any]) -> None:
    assert rejected(order, answer(reply(**changes))).reason == "stale"


def test_a_site_cannot_speak_for_another(order: TrainOrder) -> None:
    assert rejected(order, answer(reply(site_id="south"))).reason == "identity"


def arrays(**changes: Any) -> AdapterState:
    return AdapterState({**DELTA.arrays, **changes})


WRONG = {
    "an extra tensor": arrays(c=np.zeros(1, dtype=np.float32)),
    "a missing tensor": AdapterState({"b": DELTA.arrays["b"]}),
    "another shape": arrays(b=np.zeros((3, 2), dtype=np.float32)),
    "another rank": arrays(b=np.zeros((2, 4), dtype=np.float32)),
    "another order": AdapterState(dict(reversed(list(DELTA.arrays.items())))),
    "another name": AdapterState({"x": DELTA.arrays["b"], "a": DELTA.arrays["a"]}),
    "nothing": AdapterState({}),
}


@pytest.mark.parametrize("delta", WRONG.values(), ids=WRONG.keys())
def test_a_delta_of_another_spec_is_rejected(order: TrainOrder, delta: AdapterState) -> None:
    assert rejected(order, answer(reply(delta=delta))).reason == "spec"


FACTOR = "layer.lora_B.default.weight"


def of_rank(rank: int, head: int = 2) -> AdapterState:
    return AdapterState(
        {FACTOR: np.ones((4, rank), dtype=np.float32), "head.bias": np.ones(head, dtype=np.float32)},
    )


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({}, False),
        ({"aggregation.method": "partitioned_mean"}, True),
        ({"aggregation.method": "partitioned_mean", "privacy": {"trust": "central", "unit": "site"}}, False),
    ],
    ids=["a mean", "a mean by columns", "a server with divisors of its own"],
)
def test_a_site_may_answer_with_fewer_columns_of_b_where_the_method_counts_who_has_a_column(
    config_of: ConfigOf, changes: dict[str, Any], taken: bool
) -> None:
    order = TrainOrder("run", 3, "nonce", config_of(changes), of_rank(3), 3, "0.1.0")
    assert isinstance(screen(answer(reply(delta=of_rank(3))), order, 100.0), Accepted)
    assert isinstance(screen(answer(reply(delta=of_rank(1))), order, 100.0), Accepted) == taken
    for other in (of_rank(4), of_rank(0), of_rank(1, head=3), AdapterState({FACTOR: np.ones(3, dtype=np.float32)})):
        assert rejected(order, answer(reply(delta=other))).reason == "spec"


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_is_enough(order: TrainOrder, number: float) -> None:
    broken = DELTA.arrays["a"].copy()
    broken[1] = number
    assert rejected(order, answer(reply(delta=arrays(a=broken)))).reason == "not_finite"


def test_a_delta_beyond_the_norm_bound_is_rejected_and_one_within_it_is_not(order: TrainOrder) -> None:
    assert isinstance(screen(answer(reply()), order, DELTA.norm * 1.001), Accepted)
    verdict = rejected(order, answer(reply()), DELTA.norm * 0.999)
    assert verdict.reason == "norm"
    assert "1.414 > bound 1.413" in verdict.detail
    huge = rejected(order, answer(reply(delta=arrays(a=np.full(2, 3e38, dtype=np.float32)))))
    assert huge.reason == "norm"


def raw(data: bytes) -> RecordDict:
    record = reply().to_record()
    bad = Array(dtype="float32", shape=(8,), stype="numpy.ndarray", data=data)
    record["adapter"] = ArrayRecord({"numbers": bad})
    return record


def with_metrics() -> RecordDict:
    record = reply().to_record()
    record["metrics"] = MetricRecord({"num-examples": -9})
    return record


def double() -> RecordDict:
    record = reply().to_record()
    record["adapter"]["numbers"] = Array(np.zeros(8))
    return record


def archive() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, b=np.zeros(8, dtype=np.float32))
    return stream.getvalue()


def npy(shape: str) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


FORMS = {
    "a path as a name": lambda: reply(
        delta=AdapterState({"../../b": DELTA.arrays["b"], "a": DELTA.arrays["a"]})
    ).to_record(),
    "nothing": lambda: RecordDict({}),
    "a weight of its own": with_metrics,
    "double numbers": double,
    "an extra header field": lambda: RecordDict({**reply().to_record(), "more": ConfigRecord({"x": 1})}),
    "noise for an array": lambda: raw(bytes(range(200))),
    "an archive for an array": lambda: raw(archive()),
    "a broken archive for an array": lambda: raw(b"PK\x03\x04" + bytes(40)),
    "an array of a petabyte": lambda: raw(npy(f"({10**15},)")),
    "an unclosed array header": lambda: raw(npy("((8,)")),
}


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS.keys())
def test_whatever_a_site_sends_screening_gives_a_verdict(order: TrainOrder, make: Callable[[], RecordDict]) -> None:
    assert rejected(order, Answer("north", make(), None, 1, 1)).reason == "form"


def test_a_rejection_never_quotes_what_was_sent(order: TrainOrder) -> None:
    secret = "zqxjvkw"  # noqa: S105  a marker
    verdicts = [
        rejected(order, answer(reply(nonce=secret))),
        rejected(order, answer(reply(site_id=secret))),
        rejected(order, answer(reply(delta=AdapterState({secret: DELTA.arrays["b"]})))),
    ]
    assert not [verdict for verdict in verdicts if secret in verdict.detail]


def test_the_electricity_of_a_round_is_taken_without_privacy_alone(config_of: ConfigOf) -> None:
    for private in (True, False):
        order = TrainOrder("run", 3, "nonce", config_of({"privacy.enabled": private}), ADAPTER, 3, "0.1.0")
        verdict = screen(answer(reply(kwh=2e-4)), order, 100.0)
        if private:
            assert isinstance(verdict, Rejected)
            assert verdict.reason == "released"
        else:
            assert isinstance(verdict, Accepted)
            assert verdict.kwh == 2e-4
