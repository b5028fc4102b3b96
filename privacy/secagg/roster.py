"""Pin the public keys of the other sites, so that a server cannot invent peers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from pydantic import Field, ValidationError

from shared.config.explain import first_line
from shared.config.section import Section, SiteId
from shared.config.toml import read_toml
from shared.errors import ConfigError, MessageError
from shared.identity.keys import fingerprint, public_line
from shared.ops.disk import replace_file

SIGNED_WITH = ec.ECDSA(hashes.SHA384())
HEADER = "# The sites that this site adds up with. Made by hushtune provision roster, which shows fingerprints.\n[peers]\n"


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
        roster = cls({site: _key_of(line, site, path) for site, line in peers.items()})
        roster.refuse_shared_keys(path)
        return roster

    @classmethod
    def of_site(cls, path: Path, site_id: str, own: ec.EllipticCurvePublicKey, fewest: int) -> "Roster":
        """Read the roster of a site's folder, and check that secure sums can pass with it.

        Parameters
        ----------
        path
            The file.
        site_id, own
            Name and public key of the site itself.
        fewest
            Fewest sites of a secure sum, by the site's policy.

        Raises
        ------
        ConfigError
            As `read`; or the roster lacks the site's own key, or pins too few sites.
        """
        roster = cls.read(path)
        if roster.fingerprints().get(site_id) != fingerprint(own):
            raise ConfigError(
                f"{path}: peers.{site_id} is not this site's own key; remove the line and run 'hushtune provision roster'"
            )
        if len(roster.keys) < fewest:
            raise ConfigError(
                f"{path}: pins {len(roster.keys)} sites, with this one, and the policy asks for {fewest} in a secure sum; "
                "pin more with 'hushtune provision roster'"
            )
        return roster

    def write(self, path: Path) -> None:
        """Write the roster into a site's folder, whole or not at all.

        Raises
        ------
        ConfigError
            Two sites have the same key.
        """
        self.refuse_shared_keys(path)
        lines = (f'{site} = "{public_line(key, site).strip()}"\n' for site, key in sorted(self.keys.items()))
        replace_file(path, (HEADER + "".join(lines)).encode())

    def refuse_shared_keys(self, path: Path) -> None:
        """Refuse a roster in which one key stands for two sites.

        Raises
        ------
        ConfigError
            Two sites have the same key.
        """
        if len(set(self.fingerprints().values())) != len(self.keys):
            raise ConfigError(f"{path}: two sites have the same key, so one site could count as two; ask both for theirs")

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
                f"secure sum: the mask key of site {site_id} is not signed with the key in ROSTER.toml for this attempt; "
                "that site has another key, or was sent another adapter, config or privacy plan: call it"
            ) from error


def _key_of(line: str, site: str, path: Path) -> ec.EllipticCurvePublicKey:
    try:
        key = load_ssh_public_key(line.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"{path}: peers.{site}: not a public key in OpenSSH's format; copy the line of its .pub"
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise ConfigError(f"{path}: peers.{site}: not an ECDSA key on P-384; copy the line of its .pub file")
    return key
