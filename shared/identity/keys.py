"""Make, read and check the keys of sites: ECDSA on P-384 in OpenSSH format, as Flower's node authentication requires."""

import base64
import hashlib
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
from shared.ops.disk import create_file
from shared.ops.flaws import Flaw

FROM_SITE = "the steward makes it with 'hushtune provision site' and hands over only the .pub file"


def new_key() -> ec.EllipticCurvePrivateKey:
    """Generate a private key on P-384."""
    return ec.generate_private_key(ec.SECP384R1())


def private_to_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key in OpenSSH's format, without a passphrase."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def private_from_bytes(content: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the private key that `private_to_bytes` wrote."""
    key = load_ssh_private_key(content, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101  no other key is written
    return key


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read (mode 0600), and flush it to the disk.

    Parameters
    ----------
    path
        File to create.
    content
        The private key.

    Raises
    ------
    ConfigError
        The file exists already; a key is never overwritten.
    OSError
        The disk is full or the folder cannot be written; there is no file then, because half a key would be taken for one.
    """
    try:
        create_file(path, content)
    except FileExistsError as error:
        raise ConfigError(f"{path}: already exists, and a key is never overwritten; move the file away first") from error


def make_site_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Generate a site's private key, write it to a new file of mode 0600, and return it.

    Raises
    ------
    ConfigError
        The file exists already.
    """
    key = new_key()
    write_private(path, private_to_bytes(key))
    return key


def public_line(key: ec.EllipticCurvePublicKey, site_id: str) -> str:
    """Return the public key as one OpenSSH line, with the site's name as the comment."""
    return f"{key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()} {site_id}\n"


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """Return the SHA-256 fingerprint that ``ssh-keygen -lf`` prints; people compare it over the telephone."""
    body = base64.b64decode(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(body).digest()).decode().rstrip("=")


def read_private(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read the private key of a site.

    Raises
    ------
    ConfigError
        The file cannot be read, has another format or key type, or is locked with a passphrase.
    """
    try:
        key = load_ssh_private_key(path.read_bytes(), None)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); make it with 'hushtune provision site'") from error
    except TypeError as error:
        raise ConfigError(
            f"{path}: locked with a passphrase; the client needs a key without one, in a file of mode 0600"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"{path}: not a private key in OpenSSH's format; make it with 'hushtune provision site'"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP384R1):
        raise ConfigError(f"{path}: not an ECDSA key on P-384; make it with 'hushtune provision site'")
    return key


def read_public(path: Path) -> ec.EllipticCurvePublicKey:
    """Read a site's public key.

    Raises
    ------
    ConfigError
        The file cannot be read, contains a private key, or has another format or key type.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); {FROM_SITE}") from error
    if b"PRIVATE KEY" in content:
        raise ConfigError(
            f"{path}: contains a private key, which must never leave its site; delete it, and the steward makes a new one"
        )
    try:
        key = load_ssh_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path}: not a public key in OpenSSH's format; {FROM_SITE}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise ConfigError(f"{path}: not an ECDSA key on P-384; {FROM_SITE}")
    return key


def exposed(path: Path) -> list[Flaw]:
    """Check that only the owner may read and write a private file.

    Returns
    -------
    list[Flaw]
        One flaw if others may; else empty.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077 == 0:
        return []
    return [Flaw(path, f"others may read or change it (mode {mode:04o})", f"chmod 600 {path}")]
