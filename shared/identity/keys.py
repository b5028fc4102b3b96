"""Keys of sites: ECDSA on P-384 in OpenSSH's format, as Flower's node authentication takes them."""

import base64
import hashlib
import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)

from shared.errors import ConfigError
from shared.ops.flaws import Flaw

PRIVATE = 0o600
FROM_SITE = "the steward makes it with 'hushtune provision site' and hands over the .pub file alone"


def new_key() -> ec.EllipticCurvePrivateKey:
    """A new key on P-384."""
    return ec.generate_private_key(ec.SECP384R1())


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that its owner alone may read, flushed to the disk.

    Raises:
        ConfigError: there is such a file; a key is never overwritten.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    except FileExistsError as error:
        raise ConfigError(f"{path}: there is a key already and it is never overwritten; move it away first") from error
    with os.fdopen(handle, "wb") as stream:
        os.fchmod(handle, PRIVATE)
        stream.write(content)
        stream.flush()
        os.fsync(handle)


def make_site_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Make a site's private key in a new file of mode 0600.

    Raises:
        ConfigError: there is such a file.
    """
    key = new_key()
    write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return key


def public_line(key: ec.EllipticCurvePublicKey, site_id: str) -> str:
    """The public key as one line of OpenSSH's, with the site's name as its comment."""
    return f"{key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()} {site_id}\n"


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """What ``ssh-keygen -lf`` prints of a key: for comparing it over the telephone."""
    body = base64.b64decode(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(body).digest()).decode().rstrip("=")


def read_private(path: Path) -> ec.EllipticCurvePrivateKey:
    """The private key of a site.

    Raises:
        ConfigError: missing, of another format or type, or locked with a passphrase.
    """
    try:
        key = load_ssh_private_key(path.read_bytes(), None)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); make it with 'hushtune provision site'") from error
    except TypeError as error:
        raise ConfigError(
            f"{path}: locked with a passphrase; the client needs one without, in a file of mode 0600"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"{path}: not a private key in OpenSSH's format; make it with 'hushtune provision site'"
        ) from error
    return _on_p384(key, path)


def read_public(path: Path) -> ec.EllipticCurvePublicKey:
    """A site's public key.

    Raises:
        ConfigError: missing, a private key, or of another format or type.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); {FROM_SITE}") from error
    if b"PRIVATE KEY" in content:
        raise ConfigError(f"{path}: a private key, which must never leave its site; delete it, the steward makes a new one")
    try:
        key = load_ssh_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path}: not a public key in OpenSSH's format; {FROM_SITE}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise ConfigError(f"{path}: not an ECDSA key on P-384; {FROM_SITE}")
    return key


def _on_p384(key: object, path: Path) -> ec.EllipticCurvePrivateKey:
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP384R1):
        raise ConfigError(f"{path}: not an ECDSA key on P-384; make it with 'hushtune provision site'")
    return key


def exposed(path: Path) -> list[Flaw]:
    """The flaw of a private file that others than its owner may read or write."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077 == 0:
        return []
    return [Flaw(path, f"others may read or change it (mode {mode:04o})", f"chmod 600 {path}")]
