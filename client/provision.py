"""What a steward makes at the site: its key, which never leaves it; and whether the site's folder is in order."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from client.site_file import IdentitySection, ServerSection, SiteFile
from shared.config.explain import first_line
from shared.config.toml import read_toml
from shared.errors import ConfigError
from shared.identity.certificates import authority_flaws, read_certificate
from shared.identity.keys import exposed, fingerprint, make_site_key, public_line, read_private, read_public
from shared.ops.flaws import Flaw

SITE_FILE = "SITE.toml"


@dataclass(frozen=True)
class SiteKey:
    """A site's key: whose it is, the public file to hand over, and its fingerprint."""

    site_id: str
    public: Path
    fingerprint: str
    made: bool


def provision_site(folder: Path) -> SiteKey:
    """Make the site's private key where its SITE.toml says, unless it is there, and write the public one beside it.

    Raises:
        ConfigError: SITE.toml does not say who the site is or where its key lies, or the key that is there is no site key.
    """
    site_id, private = _identity(folder / SITE_FILE)
    private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = not private.exists()
    key = (make_site_key(private) if made else read_private(private)).public_key()
    public = private.with_name(f"{site_id}.pub")
    public.write_text(public_line(key, site_id), encoding="utf-8")
    return SiteKey(site_id, public, fingerprint(key), made)


def _identity(path: Path) -> tuple[str, Path]:
    """Name and private key of a site whose file may not be filled in yet."""
    tree = read_toml(path)
    context = {"folder": path.absolute().parent}
    for name, section in (("site", IdentitySection), ("server", ServerSection)):
        try:
            section.model_validate(tree.get(name, {}), context=context)
        except ValidationError as error:
            raise ConfigError(f"{path}: {name}.{first_line(section, error)}") from error
    site = IdentitySection.model_validate(tree["site"], context=context)
    return site.id, ServerSection.model_validate(tree["server"], context=context).key


def admit_site(folder: Path, more: int) -> dict[str, Any]:
    """Let a server ask for ``more`` further set-ups of the site's records, and give what it asked for before.

    Raises:
        ConfigError: the folder has no usable SITE.toml.
        PrivacyError: the count cannot be read or written.
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


def check_site(folder: Path) -> list[Flaw] | None:
    """What is wrong with a site's folder; None when the folder is no such one."""
    path = folder / SITE_FILE
    if not path.exists():
        return None
    try:
        site = SiteFile.load(path)
    except ConfigError as error:
        return [Flaw.of(error)]
    return [*_authority_flaws(site), *_key_flaws(site), *_data_flaws(site)]


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


def _data_flaws(site: SiteFile) -> Iterator[Flaw]:
    if not site.data.file.is_file():
        yield Flaw(site.data.file, "no such file", "set data.file in SITE.toml, or put the records there")
