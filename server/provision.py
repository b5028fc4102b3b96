"""Create and check the files that a server needs: a certificate authority, a server certificate, and a folder per site."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from shared.config.toml import read_toml
from shared.errors import ConfigError
from shared.identity.certificates import (
    authority,
    authority_flaws,
    belongs,
    certificate_pem,
    date_flaws,
    hosts_of,
    issue_flaws,
    private_pem,
    read_certificate,
    read_pem_key,
    server_certificate,
)
from shared.identity.keys import exposed, fingerprint, new_key, read_public, write_private
from shared.models.catalogue import CATALOGUE
from shared.ops.disk import PUBLIC, replace_file
from shared.ops.flaws import Flaw

AUTHORITY_DAYS = 3650
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[?[0-9A-Fa-f:]+\]?")
SITE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
TEMPLATE = Path(__file__).with_name("SITE.toml.template")
PROVISION_AGAIN = "run 'hushtune provision server' again"


@dataclass(frozen=True)
class ServerFolder:
    """The paths of a provisioned server's files, in the folder that ``hushtune server --state`` takes.

    ``authority_key`` is needed only to issue new certificates, so it can be kept elsewhere.
    """

    root: Path

    @property
    def authority(self) -> Path:
        """The certificate of the certificate authority, which every site gets."""
        return self.root / "ca.crt"

    @property
    def authority_key(self) -> Path:
        """The private key of the certificate authority."""
        return self.root / "ca.key"

    @property
    def certificate(self) -> Path:
        """The server's certificate."""
        return self.root / "server.crt"

    @property
    def key(self) -> Path:
        """The server's private key."""
        return self.root / "server.key"

    @property
    def allow_list(self) -> Path:
        """The folder of the sites' public keys, one ``<site id>.pub`` each."""
        return self.root / "sites"

    @property
    def hand_over(self) -> Path:
        """The folder with one folder per site, to be handed over to the site's steward."""
        return self.root / "hand-over"


def provision_server(folder: ServerFolder, hosts: Sequence[str], port: int, sites: Sequence[str], days: int) -> list[Path]:
    """Create the missing files in a server's folder; existing files are left unchanged.

    Parameters
    ----------
    folder
        The server's folder.
    hosts
        Host names or IP addresses for the server's certificate. Sites connect to the first.
    port
        The public port, for the address in each SITE.toml.
    sites
        The ids of the sites to create a folder for.
    days
        Validity of the server's certificate, in days.

    Returns
    -------
    list[Path]
        The files that were created.

    Raises
    ------
    ConfigError
        A host name or site id is malformed, or the existing certificate lacks one of the hosts.
    """
    _check_names(hosts, sites)
    folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.allow_list.mkdir(exist_ok=True)
    made = _make_authority(folder) + _make_certificate(folder, hosts, days)
    for site_id in sites:
        made += _make_site(folder, site_id, hosts[0], port)
    return made


def _check_names(hosts: Sequence[str], sites: Sequence[str]) -> None:
    for host in hosts:
        if not HOST.fullmatch(host):
            raise ConfigError(f"--host {host}: not a host name or IP address; give the name only, without scheme or port")
    for site_id in sites:
        if not SITE_ID.fullmatch(site_id):
            raise ConfigError(f"--site {site_id}: use lower-case letters, digits and hyphens, at most 32")


def _make_authority(folder: ServerFolder) -> list[Path]:
    if folder.authority.exists():
        return []
    made = [folder.authority]
    if not folder.authority_key.exists():  # else a full disk, or a kill, came between key and certificate
        write_private(folder.authority_key, private_pem(new_key()))
        made.append(folder.authority_key)
    certificate = authority(read_pem_key(folder.authority_key), AUTHORITY_DAYS)
    replace_file(folder.authority, certificate_pem(certificate), PUBLIC)
    return made


def _make_certificate(folder: ServerFolder, hosts: Sequence[str], days: int) -> list[Path]:
    if folder.certificate.exists():
        absent = sorted({host.strip("[]") for host in hosts} - hosts_of(read_certificate(folder.certificate)))
        if absent:
            raise ConfigError(f"{folder.certificate}: not valid for {', '.join(absent)}; move it away and run this again")
        return []
    made = [folder.certificate]
    if not folder.authority_key.exists():
        raise ConfigError(
            f"{folder.authority_key}: missing, but needed to issue a new server.crt; copy it back from where you keep it"
        )
    issuer, issuer_key = read_certificate(folder.authority), read_pem_key(folder.authority_key)
    if not folder.key.exists():
        write_private(folder.key, private_pem(new_key()))
        made.append(folder.key)
    public = read_pem_key(folder.key).public_key()
    certificate = server_certificate(hosts, public, issuer, issuer_key, days)
    replace_file(folder.certificate, certificate_pem(certificate), PUBLIC)
    return made


def _make_site(folder: ServerFolder, site_id: str, host: str, port: int) -> list[Path]:
    """Create a site's folder with the authority's certificate and a SITE.toml for the steward to fill in."""
    root = folder.hand_over / site_id
    if (root / "SITE.toml").exists():
        return []
    root.mkdir(parents=True, exist_ok=True)
    replace_file(root / "ca.crt", folder.authority.read_bytes(), PUBLIC)
    address = f"[{host.strip('[]')}]:{port}" if ":" in host else f"{host}:{port}"
    replace_file(root / "SITE.toml", site_settings(site_id, address).encode(), PUBLIC)  # last: it marks a complete folder
    return [root / "SITE.toml", root / "ca.crt"]


def site_settings(site_id: str, address: str) -> str:
    """Return the text of a SITE.toml for the steward to fill in.

    Parameters
    ----------
    site_id
        Name of the site.
    address
        The server's host:port.
    """
    digests = {name.replace("-", "_"): entry.sha256 for name, entry in CATALOGUE.items() if entry.sha256}
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(site_id=site_id, address=address, **digests)


def check_server(root: Path) -> list[Flaw] | None:
    """Return the flaws of a server's folder, or None if the folder is not a server's."""
    folder = ServerFolder(root)
    if not any(path.exists() for path in (folder.certificate, folder.allow_list, folder.hand_over)):
        return None
    return [*_certificate_flaws(folder), *_allow_list_flaws(folder), *_site_flaws(folder)]


def _certificate_flaws(folder: ServerFolder) -> Iterator[Flaw]:
    try:
        issuer, certificate = read_certificate(folder.authority), read_certificate(folder.certificate)
        key = read_pem_key(folder.key)
    except ConfigError as error:
        yield Flaw.of(error)
        return
    yield from authority_flaws(folder.authority, issuer)
    yield from date_flaws(folder.certificate, certificate)
    yield from issue_flaws(folder.certificate, certificate, issuer)
    if not belongs(certificate, key):
        yield Flaw(folder.key, "not the key of server.crt", f"move server.key and server.crt away and {PROVISION_AGAIN}")
    if not hosts_of(certificate):
        yield Flaw(
            folder.certificate,
            "names no host (no subject alternative name), so no site accepts it",
            f"move it away and {PROVISION_AGAIN}",
        )
    for private in (folder.key, folder.authority_key):
        if private.exists():
            yield from exposed(private)


def _allow_list_flaws(folder: ServerFolder) -> Iterator[Flaw]:
    if not folder.allow_list.is_dir():
        yield Flaw(folder.allow_list, "missing", PROVISION_AGAIN)
        return
    owners: dict[str, Path] = {}
    for path in sorted(folder.allow_list.iterdir()):
        if path.suffix != ".pub" or not SITE_ID.fullmatch(path.stem):
            yield Flaw(
                path, "not named after a site, so it admits no site", "rename it to the site's id plus .pub, or remove it"
            )
            continue
        try:
            mark = fingerprint(read_public(path))
        except ConfigError as error:
            yield Flaw.of(error)
            continue
        if mark in owners:
            yield Flaw(path, f"the same key as {owners[mark].name}", "each site must create its own key")
        owners[mark] = path


def _site_flaws(folder: ServerFolder) -> Iterator[Flaw]:
    """Yield each site's folder whose SITE.toml names a host that the server's certificate is not valid for."""
    for path in sorted(folder.hand_over.glob("*/SITE.toml")):
        try:
            hosts = hosts_of(read_certificate(folder.certificate))
            host = str(read_toml(path).get("server", {}).get("address", "")).rpartition(":")[0].strip("[]")
        except ConfigError as error:
            yield Flaw.of(error)
            continue
        if host not in hosts:
            remedy = f"correct the address, or move server.crt away and {PROVISION_AGAIN} with --host {host}"
            yield Flaw(
                path, f"connects to '{host}', but server.crt is valid for {', '.join(sorted(hosts)) or 'no host'}", remedy
            )
