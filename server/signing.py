"""The server's Ed25519 signing key, and the check of a signature.

The server signs each privacy card, so that anyone who knows the public key can check the signer and detect changes.
"""

import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from shared.errors import RunError
from shared.ops.disk import create_file, replace_file

ALGORITHM = "Ed25519"


@dataclass(frozen=True)
class SigningKey:
    """An Ed25519 key pair (RFC 8032), stored in one PEM file that only its owner can read."""

    private: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> str:
        """The public key as 64 hexadecimal digits."""
        return self.private.public_key().public_bytes_raw().hex()

    def sign(self, content: bytes) -> str:
        """Sign ``content``.

        Returns
        -------
        str
            The signature as 128 hexadecimal digits.
        """
        return self.private.sign(content).hex()

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """Load the key from a PEM file, or create the file with a new key (mode 600) if there never was one.

        The public key is written beside the file, with the suffix ``.pub``. It shows that there was a key, so that a lost
        key is not replaced by one that nobody knows.

        Returns
        -------
        SigningKey
            The loaded or new key.

        Raises
        ------
        RunError
            The file does not hold an Ed25519 key, other users can read it, or it is lost.
        """
        public = path.with_suffix(".pub")
        if public.is_file() and not path.is_file():
            raise RunError(
                f"{path}: this signing key is missing, though {public.name} beside it shows that there was one; restore the "
                f"key from a backup, or delete {public.name} to sign with a new key, and tell the readers of your cards"
            )
        key = cls._of(path)
        if not public.is_file():
            replace_file(public, f"{key.public}\n".encode())
        return key

    @classmethod
    def _of(cls, path: Path) -> Self:
        if not path.exists():
            new = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            with suppress(FileExistsError):  # another process has just made a key, which then counts for both
                create_file(path, new)
        return cls._load(path)

    @classmethod
    def _load(cls, path: Path) -> Self:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise RunError(
                f"{path}: other users can read this signing key (mode {mode:o}); chmod 600 it, or create a new key"
            )
        try:
            private = load_pem_private_key(path.read_bytes(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            private = None
        if not isinstance(private, Ed25519PrivateKey):
            raise RunError(
                f"{path}: not an Ed25519 key in PEM format; restore the server's key, or move the file away to get a new one"
            )
        return cls(private)


def is_signed(content: bytes, signature: str, public: str) -> bool:
    """Return whether ``signature`` is a valid signature of ``content`` under the public key ``public``.

    Parameters
    ----------
    content
        The signed bytes.
    signature, public
        Hexadecimal digits. Malformed ones give False.
    """
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), content)
    except (ValueError, InvalidSignature):
        return False
    return True
