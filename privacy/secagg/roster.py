"""Pin the public keys of the other sites, so that a server cannot invent peers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from pydantic import Field, ValidationError

from shared.config.explain import first_line
from shared.config.section import Section, SiteId
from shared.config.toml import read_toml
from shared.errors import ConfigError, MessageError
from shared.identity.keys import fingerprint

SIGNED_WITH = ec.ECDSA(hashes.SHA384())


class RosterFile(Section):
    """ROSTER.toml: the sites that this site agrees to add up with, and the key of each."""

    peers: dict[SiteId, str] = Field(min_length=1, description="public key of each site, as its .pub file writes it")


@dataclass(frozen=True)
class Roster:
    """The pinned public keys of all sites that may take part in a secure sum, this site's own among them."""

    keys: Mapping[str, ec.EllipticCurvePublicKey]

    @classmethod
    def read(cls, path: Path) -> "Roster":
        """Read the roster of a site's folder.

        Raises
        ------
        ConfigError
            The file is missing or not valid, or two sites have the same key.
        """
        try:
            peers = RosterFile.model_validate(read_toml(path)).peers
        except ValidationError as error:
            raise ConfigError(f"{path}: {first_line(RosterFile, error)}") from error
        keys = {site: _key_of(line, site, path) for site, line in peers.items()}
        if len({fingerprint(key) for key in keys.values()}) != len(keys):
            raise ConfigError(f"{path}: two sites have the same key, so one site could count as two; ask both for theirs")
        return cls(keys)

    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprint of each pinned key, to compare over the telephone."""
        return {site: fingerprint(key) for site, key in sorted(self.keys.items())}

    def refuse_unless_signed(self, site_id: str, message: bytes, signature: bytes) -> None:
        """Check that a pinned site signed a message.

        Raises
        ------
        MessageError
            The site is not in the roster, or the signature is not made with its pinned key.
        """
        if site_id not in self.keys:
            raise MessageError(f"secure sum: site {site_id} is not in this site's ROSTER.toml; pin its key there first")
        try:
            self.keys[site_id].verify(signature, message, SIGNED_WITH)
        except InvalidSignature as error:
            raise MessageError(
                f"secure sum: the mask key of site {site_id} is not signed with the key in ROSTER.toml; call that site"
            ) from error


def _key_of(line: str, site: str, path: Path) -> ec.EllipticCurvePublicKey:
    try:
        key = load_ssh_public_key(line.encode())
    except ValueError as error:
        raise ConfigError(
            f"{path}: peers.{site}: not a public key in OpenSSH's format; copy the line of its .pub"
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise ConfigError(f"{path}: peers.{site}: not an ECDSA key on P-384; copy the line of its .pub file")
    return key
