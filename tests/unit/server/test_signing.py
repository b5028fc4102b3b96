"""The server's key: made once, for its owner's eyes, and no signature fits anything else."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.signing import SigningKey, is_signed
from shared.errors import RunError

CONTENT = b'{"epsilon":8.0}'


def test_a_new_key_is_its_owners_alone_and_stays_the_same(tmp_path: Path) -> None:
    key = SigningKey.load_or_create(tmp_path / "key.pem")
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    again = SigningKey.load_or_create(tmp_path / "key.pem")
    assert key.public == again.public
    assert is_signed(CONTENT, again.sign(CONTENT), key.public)


def test_a_lost_key_is_not_replaced_in_silence(tmp_path: Path) -> None:
    first = SigningKey.load_or_create(tmp_path / "key.pem").public
    assert (tmp_path / "key.pub").read_text() == f"{first}\n"
    (tmp_path / "key.pem").unlink()
    with pytest.raises(RunError, match=r"missing, though key\.pub beside it"):
        SigningKey.load_or_create(tmp_path / "key.pem")
    assert not (tmp_path / "key.pem").exists()
    (tmp_path / "key.pub").unlink()
    assert SigningKey.load_or_create(tmp_path / "key.pem").public != first


def test_the_private_half_is_in_no_representation(tmp_path: Path) -> None:
    key = SigningKey.load_or_create(tmp_path / "key.pem")
    assert key.private.private_bytes_raw().hex() not in repr(key) + key.public


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    SigningKey.load_or_create(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(mode)
    with pytest.raises(RunError, match="other users can read this signing key"):
        SigningKey.load_or_create(tmp_path / "key.pem")


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_file_that_is_no_key_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(RunError, match="not an Ed25519 key"):
        SigningKey.load_or_create(path)
    assert path.read_bytes() == content


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    path = tmp_path / "key.pem"
    path.write_bytes(X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    with pytest.raises(RunError, match="not an Ed25519 key"):
        SigningKey.load_or_create(path)


@given(place=st.integers(0, 63), bit=st.integers(0, 7), which=st.sampled_from(["content", "signature", "public"]))
def test_one_bit_is_enough_to_fail(tmp_path_factory: pytest.TempPathFactory, place: int, bit: int, which: str) -> None:
    key = SigningKey.load_or_create(tmp_path_factory.getbasetemp() / "bits.pem")
    parts = {"content": CONTENT, "signature": bytes.fromhex(key.sign(CONTENT)), "public": bytes.fromhex(key.public)}
    changed = bytearray(parts[which])
    changed[place % len(changed)] ^= 1 << bit
    parts[which] = bytes(changed)
    assert not is_signed(parts["content"], parts["signature"].hex(), parts["public"].hex())


@pytest.mark.parametrize(("signature", "public"), [("", ""), ("zz", "00" * 32), ("00" * 64, "0"), ("00" * 63, "00" * 32)])
def test_what_is_no_signature_does_not_fit(signature: str, public: str) -> None:
    assert not is_signed(CONTENT, signature, public)


def test_a_full_disk_leaves_no_half_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("shared.ops.disk.os.fsync", Mock(side_effect=OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space left"):
            SigningKey.load_or_create(tmp_path / "key.pem")
    assert not list(tmp_path.iterdir())
    first, again = (SigningKey.load_or_create(tmp_path / "key.pem").public for _ in range(2))
    assert first == again


def test_servers_that_make_the_key_at_once_all_sign_with_the_one_in_the_file(tmp_path: Path) -> None:
    barrier = Barrier(4)

    def make(_: int) -> str:
        barrier.wait(30)
        return SigningKey.load_or_create(tmp_path / "key.pem").public

    with ThreadPoolExecutor(4) as threads:
        made = set(threads.map(make, range(4)))
    assert made == {SigningKey.load_or_create(tmp_path / "key.pem").public}
    assert (tmp_path / "key.pub").read_text(encoding="ascii").strip() in made
