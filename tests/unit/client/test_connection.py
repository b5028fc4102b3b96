"""A site's own end of Flower's Fleet API: what it takes from Flower's internals, and what no server can make it do."""

import datetime
import inspect
import ssl
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.clientapp import ClientApp
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode.fleet_http_client import FleetHttpClient

from client import connection as connection_module
from client.connection import Connection
from client.fleet_client import ForeignAnswer
from client.lost_server import ServerGone
from client.outward_codes import outward_code, reason_code
from client.server_access import ServerAccess
from privacy.leakage.gate import GateFailed
from shared.errors import ConfigError, ConnectionRefused, DataError, Declined, MessageError, ModelError, PolicyRefused
from shared.identity import certificates
from shared.identity.certificates import private_pem
from shared.identity.keys import make_site_key, new_key
from shared.wire.parts import packets

CALLS = (
    "ActivateNode",
    "DeactivateNode",
    "SendNodeHeartbeat",
    "PullMessages",
    "PushMessages",
    "PullObject",
    "PushObject",
    "ConfirmMessageReceived",
)


def test_flowers_client_has_what_we_call() -> None:
    assert not [name for name in CALLS if not hasattr(FleetHttpClient, name)]


def test_no_bundle_is_ever_asked_for() -> None:
    source = inspect.getsource(connection_module)
    assert not [word for word in ("GetFab", "install_from_fab", "load_client_app", "import_module") if word in source]


@pytest.fixture
def access() -> ServerAccess:
    return ServerAccess("north", "127.0.0.1:1", None, new_key())


class ToyFleet:
    """The Fleet API with scripted answers."""

    def __init__(self, **answers: Callable[[Any], Any]) -> None:
        self.answers, self.asked = answers, list[tuple[str, Any]]()

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        def call(request: Any) -> Any:
            self.asked.append((name, request))
            answer = self.answers.get(name)
            return answer(request) if answer else SimpleNamespace(messages_list=[], message_object_trees=[])

        return call

    def close(self) -> None:
        pass

    def __enter__(self) -> "ToyFleet":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def status(code: int) -> Callable[[Any], Any]:
    def fail(request: Any) -> Any:
        answer = httpx.Response(code, request=httpx.Request("POST", "https://x"))
        raise httpx.HTTPStatusError("no", request=answer.request, response=answer)

    return fail


def raising(error: Exception) -> Callable[[Any], Any]:
    def fail(request: Any) -> Any:
        raise error

    return fail


def tls(cause: Exception) -> Callable[[Any], Any]:
    """Fail to connect for this reason."""
    error = httpx.ConnectError("tls")
    error.__cause__ = cause
    return raising(error)


@pytest.fixture
def connection(access: ServerAccess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[ToyFleet], Connection]:
    def build(fleet: ToyFleet) -> Connection:
        monkeypatch.setattr(ServerAccess, "client", lambda self: fleet)
        return Connection(access, tmp_path / "node")

    return build


ACTIVE = {"ActivateNode": lambda request: SimpleNamespace(node_id=7)}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (status(401), "does not know this site's key"),
        (status(403), "belongs to another site than 'north'"),
        (raising(httpx.RemoteProtocolError("gone")), "accepts only TLS"),
        (tls(ssl.SSLCertVerificationError("self-signed")), "not issued by the authority"),
    ],
)
def test_a_refusal_is_one_sentence(connection: Any, answer: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(ConnectionRefused, match=words) as caught, connection(ToyFleet(ActivateNode=answer)):
        pass
    assert "\n" not in str(caught.value)


def refused_by_tls(folder: Path, monkeypatch: pytest.MonkeyPatch, shift: int, host: str) -> ssl.SSLCertVerificationError:
    """Return the error of a real handshake with a certificate for localhost that was made ``shift`` days from now."""
    keys = new_key(), new_key()
    issuer = certificates.authority(keys[0], 3650)
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=shift)
    clock = SimpleNamespace(now=lambda tz: then)
    shifted = SimpleNamespace(datetime=clock, timedelta=datetime.timedelta, UTC=datetime.UTC)
    with monkeypatch.context() as patch:
        patch.setattr(certificates, "datetime", shifted)
        made = certificates.server_certificate(["localhost"], keys[1].public_key(), issuer, keys[0], 365)
    (folder / "crt").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key").write_bytes(private_pem(keys[1]))
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(folder / "crt", folder / "key")
    client.load_verify_locations(cadata=issuer.public_bytes(Encoding.PEM).decode())
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    site, other = client.wrap_bio(down, up, server_hostname=host), server.wrap_bio(up, down, server_side=True)
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        for side in (site, other) * 3:
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return caught.value


@pytest.mark.parametrize(
    ("shift", "host", "words"),
    [
        (-400, "localhost", "its certificate has expired.*renew"),
        (400, "localhost", "its certificate is not valid yet; check the clock"),
        (0, "elsewhere", "its certificate is for another name"),
        (0, "127.0.0.1", "its certificate is for another name"),
    ],
)
def test_a_certificate_out_of_date_or_for_another_name_is_told_as_such(
    connection: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: int, host: str, words: str
) -> None:
    answer = tls(refused_by_tls(tmp_path, monkeypatch, shift, host))
    with pytest.raises(ConnectionRefused, match=words), connection(ToyFleet(ActivateNode=answer)):
        pass


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (raising(httpx.ConnectError("down")), "cannot be reached"),
        (status(503), "status 503"),
        (status(409), "another client is connected with the identity of site north"),
        (status(412), "clock"),
        (raising(ForeignAnswer("a web page")), "no hushtune server"),
    ],
)
def test_a_server_that_is_away_is_worth_another_try(connection: Any, answer: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(ServerGone, match=words), connection(ToyFleet(ActivateNode=answer)):
        pass


def test_a_session_that_a_killed_process_left_is_ended_first(connection: Any, tmp_path: Path) -> None:
    fleet = ToyFleet(**ACTIVE)
    with connection(fleet):
        pass
    again = ToyFleet(**ACTIVE)
    with connection(again):
        assert [name for name, _ in again.asked] == ["DeactivateNode", "ActivateNode"]
        assert again.asked[0][1].node_id == 7


@pytest.mark.parametrize("answer", [status(401), status(500), raising(httpx.ReadTimeout("slow"))])
def test_a_server_that_forgot_this_connection_means_connecting_again(connection: Any, answer: Callable[[Any], Any]) -> None:
    with connection(ToyFleet(**ACTIVE, PullMessages=answer)) as connected, pytest.raises(ServerGone):
        next(connected.messages())


@pytest.mark.parametrize("found", [False, True])
def test_a_message_that_was_withdrawn_or_is_none_does_not_end_a_site(connection: Any, found: bool) -> None:
    one = SimpleNamespace(
        messages_list=[SimpleNamespace(metadata=SimpleNamespace(run_id=1))],
        message_object_trees=[ObjectTree(object_id=sha256(b"no part of Flower").hexdigest())],
    )
    looks = [one, SimpleNamespace(messages_list=[], message_object_trees=[])]
    part = SimpleNamespace(object_found=found, object_content=b"".join(packets([b"no part of Flower"])))
    fleet = ToyFleet(**ACTIVE, PullMessages=lambda request: looks.pop(0), PullObject=lambda request: part)
    with connection(fleet) as connected:
        assert next(connected.messages()) is None


def message() -> Message:
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 5, 1
    sent = Message(RecordDict({"header": ConfigRecord({"round": 1})}), 7, MessageType.TRAIN)
    sent.metadata.__dict__["_message_id"] = sent.object_id
    return sent


@pytest.mark.parametrize("stored", [True, False])
def test_what_an_app_raises_leaves_as_a_code_and_a_reply_that_nobody_wants_ends_nothing(
    connection: Any, stored: bool
) -> None:
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Any) -> Message:
        raise ValueError("a patient's words")

    fleet = ToyFleet(
        **ACTIVE,
        PushMessages=lambda request: SimpleNamespace(
            session_id="s", objects_to_push=[tree.object_id for tree in request.message_object_trees]
        ),
        PushObject=lambda request: SimpleNamespace(stored=stored),
    )
    asked = message()
    with connection(fleet) as connected:
        connected.answer(app, asked)
    sent = dict(fleet.asked)["PushMessages"]
    assert sent.messages_list[0].error.reason == "Declined"
    assert list(sent.clientapp_runtime_list) == [0.0]
    metadata = sent.messages_list[0].metadata
    assert (metadata.created_at, metadata.ttl) == (asked.metadata.created_at, asked.metadata.ttl)
    everything = b"".join(request.SerializeToString() for _, request in fleet.asked if hasattr(request, "SerializeToString"))
    assert b"patient" not in everything


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PolicyRefused("max_rounds", "asks for 9 rounds", "allows 3", "lower them"), "PolicyRefused:max_rounds"),
        (MessageError("order: its adapter does not have the names"), "MessageError"),
        (ModelError("no such model"), "ModelError"),
        (Declined("site north: declined"), "Declined"),
        (DataError("records.jsonl, record 7: a patient's words"), "Declined"),  # not even if it came here by itself
        (GateFailed("0.3 of the records"), "Declined"),
        (MemoryError(), "Declined"),
        (KeyError("a patient's words"), "Declined"),
    ],
)
def test_of_a_refusal_the_server_learns_a_code_where_no_record_has_a_part_in_it_and_else_one_word(
    error: Exception, code: str
) -> None:
    assert outward_code(error) == code


def test_the_steward_learns_class_and_field() -> None:
    assert reason_code(PolicyRefused("data.labels", "has a", "has b", "c")) == "PolicyRefused:data.labels"
    assert reason_code(KeyError("a patient's words")) == "KeyError"


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    make_site_key(tmp_path / "site.key")
    assert ServerAccess.from_files("north", "127.0.0.1:1", None, tmp_path / "site.key", 1).authority is None
    (tmp_path / "site.key").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        ServerAccess.from_files("north", "127.0.0.1:1", None, tmp_path / "site.key", 1)


def test_what_is_no_certificate_is_told(tmp_path: Path) -> None:
    make_site_key(tmp_path / "site.key")
    (tmp_path / "ca.crt").write_text("nothing")
    with pytest.raises(ConfigError, match=r"ca\.crt"):
        ServerAccess.from_files("north", "127.0.0.1:1", tmp_path / "ca.crt", tmp_path / "site.key", 1)
