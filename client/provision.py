"""Provision a site's folder: make its key, pin its peers' keys, allow further set-ups, and check the folder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from client.examination import Tell, examined
from client.site_file import SiteFile
from client.site_sections import IdentitySection, ServerSection
from privacy.secagg.roster import Roster
from shared.config.explain import first_line
from shared.config.section import Section, SiteId
from shared.config.toml import read_toml
from shared.errors import ConfigError
from shared.identity.certificates import authority_flaws, read_certificate
from shared.identity.keys import exposed, fingerprint, make_site_key, public_line, read_private, read_public
from shared.ops.disk import PUBLIC, replace_file
from shared.ops.flaws import Flaw

SITE_FILE = "SITE.toml"
Parsed = TypeVar("Parsed", bound=Section)


@dataclass(frozen=True)
class SiteKey:
    """A site's key: the name of the site, the public file to hand over, its fingerprint, and whether it is new."""

    site_id: str
    public: Path
    fingerprint: str
    made: bool


def provision_site(folder: Path) -> SiteKey:
    """Make the private key where SITE.toml says, unless it exists, and write the public key next to it.

    Raises
    ------
    ConfigError
        SITE.toml does not name the site or the key file, or the existing key is not a site key.
    """
    site_id, server = _identity(folder / SITE_FILE)
    private = server.key
    private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = not private.exists()
    key = (make_site_key(private) if made else read_private(private)).public_key()
    public = private.with_name(f"{site_id}.pub")
    replace_file(public, public_line(key, site_id).encode(), PUBLIC)
    return SiteKey(site_id, public, fingerprint(key), made)


def pin_peers(folder: Path, files: Sequence[Path]) -> dict[str, str]:
    """Pin the public keys of other sites, and this site's own, in the roster that SITE.toml names.

    Parameters
    ----------
    folder
        Folder with the SITE.toml.
    files
        Public key of each further site, as ``<site id>.pub``; without any, the roster stays as it is.

    Returns
    -------
    dict[str, str]
        Fingerprint of each pinned key, by site.

    Raises
    ------
    ConfigError
        A file is no site's public key, or the roster pins another key for that site.
    """
    site_id, server = _identity(folder / SITE_FILE)
    pinned = dict(Roster.read(server.roster).keys) if server.roster.exists() else {}
    own = (site_id, read_private(server.key).public_key(), folder / SITE_FILE)
    for site, key, source in (own, *((_site_of(path), read_public(path), path) for path in files)):
        if site in pinned and fingerprint(pinned[site]) != fingerprint(key):
            raise ConfigError(
                f"{source}: {server.roster} pins another key for site {site}; ask its steward by telephone whether the key "
                "is new, and if so remove the old line there first"
            )
        pinned[site] = key
    roster = Roster(pinned)
    roster.write(server.roster)
    return roster.fingerprints()


def _site_of(path: Path) -> str:
    try:
        return TypeAdapter(SiteId).validate_python(path.stem)
    except ValidationError as error:
        raise ConfigError(f"{path}: name it after the site: lower-case letters, digits and hyphens, then .pub") from error


def _identity(path: Path) -> tuple[str, ServerSection]:
    """Return the name and the connection of a site whose SITE.toml may still be incomplete."""
    tree = read_toml(path)

    def parsed(name: str, section: type[Parsed]) -> Parsed:
        try:
            return section.model_validate(tree.get(name, {}), context={"folder": path.absolute().parent})
        except ValidationError as error:
            raise ConfigError(f"{path}: {name}.{first_line(section, error)}") from error

    return parsed("site", IdentitySection).id, parsed("server", ServerSection)


def admit_site(folder: Path, more: int) -> dict[str, Any]:
    """Allow a server to ask for ``more`` further set-ups of the site's records.

    Returns
    -------
    dict[str, Any]
        What the server asked before, and the new counts.

    Raises
    ------
    ConfigError
        The folder has no usable SITE.toml.
    PrivacyError
        The log of questions cannot be read or written.
    """
    site = SiteFile.load(folder / SITE_FILE)
    before = site.set_ups.book()
    site.set_ups.admit(more)
    count = site.set_ups.count()
    return {
        "site_id": site.site.id,
        "days": site.policy.count_days,
        "set_ups": [asked.model_dump() for asked in before.asked],
        "failures": [begun.model_dump() for begun in before.begun],
        "counted": count.set_ups,
        "allowed": count.may_set_up,
    }


def check_site(folder: Path, tell: Tell | None = None) -> list[Flaw] | None:
    """Return the problems of a site's folder; None if it has no SITE.toml.

    Parameters
    ----------
    folder
        Folder with the SITE.toml.
    tell : callable or None
        If given, records, models, disk, memory and server are looked at as well, once the folder's own files are in order,
        and it is called with one line for each thing that is as it should be.
    """
    path = folder / SITE_FILE
    if not path.exists():
        return None
    try:
        site = SiteFile.load(path)
    except ConfigError as error:
        return [Flaw.of(error)]
    flaws = [*_authority_flaws(site), *_key_flaws(site), *_roster_flaws(site), *_data_flaws(site)]
    return [*flaws, *examined(site, tell)] if tell is not None and not flaws else flaws


def _authority_flaws(site: SiteFile) -> Iterator[Flaw]:
    try:
        yield from authority_flaws(site.server.ca, read_certificate(site.server.ca))
    except ConfigError as error:
        yield Flaw.of(error)


def _key_flaws(site: SiteFile) -> Iterator[Flaw]:
    private = site.server.key
    public = private.with_name(f"{site.site.id}.pub")
    try:
        key = read_private(private).public_key()
        yield from exposed(private)
        if fingerprint(read_public(public)) != fingerprint(key):
            remedy = "run 'hushtune provision site' and hand this file over"
            yield Flaw(public, f"not the public half of {private.name}", remedy)
    except ConfigError as error:
        yield Flaw.of(error)


def _roster_flaws(site: SiteFile) -> Iterator[Flaw]:
    needed = "distributed" in site.policy.trust or site.policy.secure_sums
    if not needed and not site.server.roster.exists():
        return  # the site refuses runs with secure sums
    try:
        own = read_private(site.server.key).public_key()
        Roster.of_site(site.server.roster, site.site.id, own, site.policy.fewest_in_sum)
    except ConfigError as error:
        yield Flaw.of(error)


def _data_flaws(site: SiteFile) -> Iterator[Flaw]:
    if not site.data.file.is_file():
        yield Flaw(site.data.file, "no such file", "set data.file in SITE.toml, or put the records there")
