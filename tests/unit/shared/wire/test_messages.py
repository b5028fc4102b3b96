import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fixture_types import ConfigOf
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict

from shared.adapters.state import AdapterState
from shared.config.aggregation import EncodingName
from shared.errors import MessageError
from shared.wire.chain_head import ChainHead
from shared.wire.encodings import as_ordered, as_replied
from shared.wire.messages import TrainOrder, TrainReply, outgoing
from shared.wire.secure_messages import MaskedReply

DELTA = AdapterState({"b": np.float32([[1.0, 2.0], [3.0, 4.0]]), "a": np.float32([5.0])})
SUMS = {"loss": 3.5, "hits": -1.25, "records": 40.0}
REPLY = TrainReply("run", 2, "nonce", "north", DELTA, ChainHead(5, "e" * 64), SUMS)


@pytest.fixture
def order(config_of: ConfigOf) -> TrainOrder:
    config = config_of({"task.labels": ["\N{SNOWMAN}", "yes"]})
    return TrainOrder("run", 2, "nonce", config, DELTA, 3, "0.1.0", ChainHead(4, "a" * 64), ChainHead(1, "b" * 64))


def same(left: AdapterState, right: AdapterState) -> bool:
    return left.spec == right.spec and left.digest() == right.digest()


def sent(record: RecordDict) -> RecordDict:
    """Return the record that arrives when a simulated message carries one."""
    from flwr.supercore.task_identity import TaskIdentity

    from simulations.fleets.local import over_the_wire

    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
    message, size = over_the_wire(Message(record, 100, MessageType.TRAIN))
    assert size > sum(len(array.data) for array in record["adapter"].values())
    return message.content


def test_an_order_survives_the_wire(order: TrainOrder) -> None:
    for record in (order.to_record(), sent(order.to_record())):
        again = TrainOrder.from_record(record)
        assert (again.run_id, again.round, again.nonce) == ("run", 2, "nonce")
        assert (again.cohort, again.version) == (3, "0.1.0")
        assert again.config == order.config
        assert (again.ledger, again.record) == (order.ledger, order.record)
        assert same(again.adapter, order.adapter)


def test_a_reply_survives_the_wire() -> None:
    for record in (REPLY.to_record(), sent(REPLY.to_record())):
        again = TrainReply.from_record(record)
        assert (again.run_id, again.round, again.nonce, again.site_id) == ("run", 2, "nonce", "north")
        assert (again.ledger, again.released) == (REPLY.ledger, SUMS)
        assert same(again.delta, DELTA)


@pytest.mark.parametrize(("name", "blocks"), [("int8", 66), ("int4", 34)])
def test_small_numbers_survive_the_wire_and_both_sides_know_their_form(
    config_of: ConfigOf, name: EncodingName, blocks: int
) -> None:
    wide = AdapterState({"b": np.linspace(-1, 1, 4096, dtype=np.float32).reshape(64, 64)})
    small = TrainOrder("run", 2, "nonce", config_of({"aggregation.encoding": name}), wide, 3, "0.1.0")
    order = TrainOrder.from_record(sent(small.to_record()))
    assert order.adapter.digest() == as_ordered(wide, name).digest() != wide.digest()
    reply = replace(REPLY, delta=as_replied(wide, name), encoding=name)
    again = TrainReply.from_record(sent(reply.to_record()))
    assert (again.encoding, again.delta.digest()) == (name, reply.delta.digest())
    sizes = [outgoing(record)[1] for record in (reply.to_record(), small.to_record())]
    assert 4096 * blocks // 64 < sizes[0] <= sizes[1] < 4096 + 512  # so the order's size bounds the reply's


def test_an_order_is_refused_unless_its_numbers_are_in_the_form_of_its_config(
    config_of: ConfigOf, order: TrainOrder
) -> None:
    full, small = (config_of({"aggregation.encoding": encoding}) for encoding in ("float32", "int8"))
    record = replace(order, config=small).to_record()
    record["adapter"] = replace(order, config=full).to_record()["adapter"]
    with pytest.raises(MessageError, match=r"aggregation\.encoding"):
        TrainOrder.from_record(record)


def test_a_reply_holds_these_fields_and_no_others() -> None:
    record = REPLY.to_record()
    assert sorted(record) == ["adapter", "header", "released"]
    assert sorted(record["header"]) == ["ledger_entries", "ledger_hash", "nonce", "round", "run_id", "site_id", "spec"]
    assert record["header"]["spec"] == "b=2x2;a=1"
    assert sorted(record["released"]) == ["hits", "loss", "records"]
    assert list(record["adapter"]) == ["numbers"]
    assert {array.dtype for array in record["adapter"].values()} == {"float32"}


def test_the_electricity_of_a_round_is_no_release_and_only_an_amount_is_taken_for_it() -> None:
    record = replace(REPLY, kwh=2.5e-4).to_record()
    assert TrainReply.from_record(sent(record)).kwh == 2.5e-4
    assert TrainReply.from_record(REPLY.to_record()).kwh is None
    assert "kwh" in outgoing(record)[0]  # so a site's policy has to let it leave
    for wrong in (
        {"kwh": -1.0},
        {"kwh": float("nan")},
        {"kwh": 1e308},
        {"kwh": 1},
        {"kwh": 1.0, "records": 2.0},
        {"watts": 1.0},
        {},
    ):
        record["energy"] = ConfigRecord(wrong)  # type: ignore[arg-type]
        with pytest.raises(MessageError, match="energy"):
            TrainReply.from_record(record)


@pytest.mark.parametrize(
    "head",
    [
        {"ledger_hash": "x" * 10**6},
        {"ledger_hash": "e" * 63 + "\n"},
        {"ledger_hash": "E" * 64},
        {"ledger_hash": ""},
        {"ledger_entries": 0},
        {"ledger_entries": -1},
        {"ledger_entries": 2**62},
    ],
)
def test_the_end_of_a_ledger_is_a_number_and_a_hash_and_nothing_else(head: dict[str, Any]) -> None:
    with pytest.raises(MessageError, match="ledger"):
        TrainReply.from_record(with_header(**head))


def test_a_released_sum_is_of_a_possible_size() -> None:
    record = REPLY.to_record()
    record["released"] = ConfigRecord({"loss": 1e308})
    with pytest.raises(MessageError, match="released sums"):
        TrainReply.from_record(record)


def test_what_a_reply_takes_out_is_its_names_and_its_bytes() -> None:
    names, size = outgoing(REPLY.to_record())
    assert names == {"run_id", "round", "nonce", "site_id", "ledger_entries", "ledger_hash", "spec"}
    assert sum(array.nbytes for array in DELTA.arrays.values()) < size < 1024
    assert outgoing(replace(REPLY, released={"loss": 0.5}).to_record())[0] == names  # a release is paid for
    assert "records" in outgoing(with_header(records=412))[0]
    assert "accuracy" in outgoing(extra("metrics", MetricRecord({"accuracy": 0.5})))[0]


def with_header(**changes: Any) -> RecordDict:
    record = REPLY.to_record()
    header = {**record["header"], **changes}
    record["header"] = ConfigRecord({key: value for key, value in header.items() if value is not None})
    return record


def with_array(array: Array) -> RecordDict:
    record = REPLY.to_record()
    record["adapter"] = ArrayRecord({"numbers": array})
    return record


def extra(name: str, value: Any) -> RecordDict:
    record = REPLY.to_record()
    record[name] = value
    return record


def with_arrays(**arrays: Array) -> RecordDict:
    return extra("adapter", ArrayRecord(arrays))


NUMBERS = Array(np.zeros(5, dtype=np.float32))
SPECS = [
    *("", ";", "b", "b=2x2", "b=2x2;a=2", "b=2x2;a=1;", "b=2x2;b=1", "b=02x2;a=1", "b=2x2 ;a=1", "b=2x-2;a=9", "b=2X2;a=1"),
    *("b=5;a=0x9999999999x9999999999x9999999999", "the patient=5", "b=5\n", "b=\N{ARABIC-INDIC DIGIT FIVE}", "=5", "../b=5"),
    *(f"b={'x'.join('1' * 8)}x5", f"{'b' * 201}=5", f"b=5{';a=0' * 2**19}", "b=99999999999", "b" * 2**21),
]
MALFORMED = {
    "an extra header field": lambda: with_header(records=412),
    "an extra text": lambda: with_header(note="hello"),
    "a missing round": lambda: with_header(round=None),
    "a boolean round": lambda: with_header(round=True),
    "a float round": lambda: with_header(round=2.0),
    "a text round": lambda: with_header(round="2"),
    "a number as run": lambda: with_header(run_id=7),
    "bytes as nonce": lambda: with_header(nonce=b"nonce"),
    "a list as site": lambda: with_header(site_id=["north"]),
    "an extra released sum": lambda: extra("released", ConfigRecord({"loss": 1.0, "entropy": 2.0})),
    "a released text": lambda: extra("released", ConfigRecord({"loss": "hello"})),
    "a released integer": lambda: extra("released", ConfigRecord({"records": 412})),
    "a released sum that is no number": lambda: extra("released", ConfigRecord({"loss": float("nan")})),
    "released sums of another kind": lambda: extra("released", MetricRecord({"loss": 0.5})),
    "an empty release": lambda: extra("released", ConfigRecord({})),
    "a path as run": lambda: with_header(run_id="../../etc/x"),
    "a sentence as nonce": lambda: with_header(nonce="the patient said"),
    "an empty site": lambda: with_header(site_id=""),
    "an extra record of metrics": lambda: extra("metrics", MetricRecord({"loss": 0.5})),
    "an extra record of arrays": lambda: extra("more", ArrayRecord({})),
    "an extra config": lambda: extra("config", ConfigRecord({"x": 1})),
    "metrics in the header's place": lambda: extra("header", MetricRecord({"round": 2})),
    "a header in the arrays' place": lambda: extra("adapter", ConfigRecord({})),
    "no records": lambda: RecordDict({}),
    "no header": lambda: RecordDict({"adapter": REPLY.to_record()["adapter"]}),
    "no arrays": lambda: RecordDict({"header": REPLY.to_record()["header"]}),
    "float64 numbers": lambda: with_array(Array(np.zeros(5, dtype=np.float64))),
    "float16 numbers": lambda: with_array(Array(np.zeros(5, dtype=np.float16))),
    "whole numbers": lambda: with_array(Array(np.zeros(5, dtype=np.int32))),
    "text": lambda: with_array(Array(np.array(["patient", "record", "of", "a", "person"]))),
    "a number too few": lambda: with_array(Array(np.zeros(4, dtype=np.float32))),
    "a number too many": lambda: with_array(Array(np.zeros(6, dtype=np.float32))),
    "numbers of two dimensions": lambda: with_array(Array(np.zeros((5, 1), dtype=np.float32))),
    "a second array": lambda: with_arrays(numbers=NUMBERS, more=NUMBERS),
    "an array of another name": lambda: with_arrays(more=NUMBERS),
    "no array": lambda: with_arrays(),
    "shapes in a list": lambda: with_header(spec=["b=2x2", "a=1"]),
    **{f"the spec {spec!r:.60}": (lambda spec=spec: with_header(spec=spec)) for spec in SPECS},
    "big-endian numbers": lambda: with_array(Array(np.zeros(5, dtype=">f4"))),
}


@pytest.mark.parametrize("make", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_reply_of_another_form_is_refused(make: Callable[[], RecordDict]) -> None:
    with pytest.raises(MessageError) as caught:
        TrainReply.from_record(make())
    assert "\n" not in str(caught.value)


def npy(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def npy_header(text: str, payload: bytes = b"") -> bytes:
    header = text.encode("latin-1")
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + payload


def npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, b=np.zeros((2, 2), dtype=np.float32))
    return stream.getvalue()


class Touches:
    """An object whose unpickling would run code."""

    def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
        return (pytest.fail, ("code arrived by data",))


def zip_bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b.npy", bytes(1 << 20))
    return stream.getvalue()


PAYLOADS = {
    "a pickled object": lambda: npy(np.array([Touches()] * 5, dtype=object), allow_pickle=True),
    "a bare pickle": lambda: b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K*.",
    "nothing": lambda: b"",
    "a cut array": lambda: npy(np.zeros(5, dtype=np.float32))[:-3],
    "noise": lambda: bytes(range(256)),
    "an archive of arrays": npz,
    "a bomb": zip_bomb,
    "a broken archive": lambda: b"PK\x03\x04" + bytes(64),
    "an unclosed header": lambda: npy_header("{'descr': '<f4', 'shape': (5"),
    "a header that is code": lambda: npy_header("__import__('os').abort()\n"),
    "a header of a petabyte": lambda: npy_header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**15},), }}\n"),
    "a header of nested brackets": lambda: npy_header("(" * 9000 + "\n"),
}


@pytest.mark.parametrize("make", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_bytes_that_are_no_plain_array_are_refused_without_running_anything(make: Callable[[], bytes]) -> None:
    array = Array(dtype="float32", shape=(5,), stype="numpy.ndarray", data=make())
    with pytest.raises(MessageError):
        TrainReply.from_record(with_array(array))


def test_an_array_in_another_encoding_is_refused() -> None:
    array = Array(dtype="float32", shape=(5,), stype="torch.pickle", data=npy(np.zeros(5, dtype=np.float32)))
    with pytest.raises(MessageError):
        TrainReply.from_record(with_array(array))


@pytest.mark.parametrize("wrong", [np.zeros((5, 1), np.uint32), np.zeros((), np.uint32), np.zeros(5, np.float32)], ids=repr)
def test_a_masked_sum_is_one_row_of_whole_numbers(wrong: np.ndarray) -> None:  # type: ignore[type-arg]
    reply = MaskedReply("run", 2, "nonce", "north", np.arange(5, dtype=np.uint32))
    record = reply.to_record()
    assert np.array_equal(MaskedReply.from_record(record).vector, reply.vector)
    record["masked"] = ArrayRecord({"masked": Array(wrong)})
    with pytest.raises(MessageError):
        MaskedReply.from_record(record)


def changed_header(order: TrainOrder, **changes: Any) -> RecordDict:
    record = order.to_record()
    record["header"] = ConfigRecord({**record["header"], **changes})
    return record


def test_an_order_whose_config_was_changed_is_refused(order: TrainOrder) -> None:
    tree = json.loads(order.config.canonical())
    tree["privacy"]["epsilon"] = 99.0
    with pytest.raises(MessageError, match="digest"):
        TrainOrder.from_record(changed_header(order, config=json.dumps(tree)))


@pytest.mark.parametrize("config", ["", "{", "[]", "null", '{"task": {"name": "classification"}}'])
def test_an_order_without_a_config_that_is_known_is_refused(order: TrainOrder, config: str) -> None:
    with pytest.raises(MessageError, match="compare the versions"):
        TrainOrder.from_record(changed_header(order, config=config))


def test_an_order_with_a_field_of_a_later_version_is_refused(order: TrainOrder) -> None:
    tree = json.loads(order.config.canonical())
    tree["privacy"]["amplify"] = True
    with pytest.raises(MessageError, match="compare the versions"):
        TrainOrder.from_record(changed_header(order, config=json.dumps(tree)))


def test_an_order_is_no_reply_and_a_reply_is_no_order(order: TrainOrder) -> None:
    with pytest.raises(MessageError):
        TrainReply.from_record(order.to_record())
    with pytest.raises(MessageError):
        TrainOrder.from_record(REPLY.to_record())


@pytest.mark.parametrize("change", [{"run_id": "../run"}, {"version": "0.1.0\n"}, {"cohort": True}, {"cohort": "3"}])
def test_an_order_with_a_header_of_another_form_is_refused(order: TrainOrder, change: dict[str, Any]) -> None:
    with pytest.raises(MessageError, match="order: "):
        TrainOrder.from_record(changed_header(order, **change))


@pytest.mark.parametrize(
    "head", [ChainHead(5, "Mrs Miller has a cough"), ChainHead(5, "E" * 64), ChainHead(5, "e" * 65), ChainHead(-1, "")]
)
def test_the_end_of_a_ledger_beside_a_masked_sum_has_no_room_for_text(head: ChainHead) -> None:
    reply = MaskedReply("run", 2, "nonce", "north", np.zeros(3, np.uint32), head)
    with pytest.raises(MessageError, match="does not end with a hash of 64 hexadecimal digits"):
        MaskedReply.from_record(reply.to_record())
