"""Keep the map from tags and surrogates to original values, encrypted, and only where the site asks for it."""

import json
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.errors import DataError
from shared.identity.keys import write_private
from shared.ops.disk import PRIVATE, replace_file

KEY_BYTES = 32
NONCE_BYTES = 12
# Position of a record in its file -> tag or surrogate in its text -> original value.
Originals = Mapping[int, Mapping[str, str]]


@dataclass(frozen=True)
class PseudonymMap:
    """The map of one site in its state folder: ``reversal.key`` (mode 0600) opens ``reversal.sealed`` (AES-256-GCM)."""

    state: Path
    site_id: str

    def keep(self, originals: Originals) -> None:
        """Write the map over an earlier one, whole or not at all.

        Parameters
        ----------
        originals
            By the place of a record in its file, the original value of each tag or surrogate.

        Raises
        ------
        DataError
            The folder cannot be written, or others may read the key.
        """
        try:
            self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._key.exists():
                write_private(self._key, secrets.token_bytes(KEY_BYTES))
            nonce = secrets.token_bytes(NONCE_BYTES)
            content = json.dumps({str(position): dict(pairs) for position, pairs in originals.items()}).encode()
            replace_file(self._map, nonce + self._cipher().encrypt(nonce, content, self.site_id.encode()))
        except OSError as error:
            raise DataError(
                f"{self.state}: the reversible map cannot be written ({type(error).__name__}); make the folder writable and "
                "free some space"
            ) from error

    def of(self, position: int) -> Mapping[str, str]:
        """Return the map of one record.

        Parameters
        ----------
        position
            The 1-based place of the record in its file.

        Returns
        -------
        mapping of str to str
            From each tag or surrogate in the record's text to the original value.

        Raises
        ------
        DataError
            There is no map, the key does not open it, or the record is not in it.
        """
        try:
            content = self._map.read_bytes()
            opened = self._cipher().decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], self.site_id.encode())
        except FileNotFoundError:
            raise DataError(
                f"{self._map}: no map is kept; set anonymise.reversible = true in SITE.toml and write the records out again"
            ) from None
        except (OSError, InvalidTag, ValueError):
            raise DataError(
                f"{self._map}: cannot be opened with {self._key}; put back the key that it was written with"
            ) from None
        pairs: Mapping[str, Mapping[str, str]] = json.loads(opened)
        if str(position) not in pairs:
            raise DataError(f"{self._map}: holds no record {position}; give the line of a record that was written out")
        return pairs[str(position)]

    @property
    def _key(self) -> Path:
        return self.state / "reversal.key"

    @property
    def _map(self) -> Path:
        return self.state / "reversal.sealed"

    def _cipher(self) -> AESGCM:
        if stat.S_IMODE(os.stat(self._key).st_mode) & ~PRIVATE:
            raise DataError(f"{self._key}: others may read the key; run chmod 600 on it")
        return AESGCM(self._key.read_bytes())
