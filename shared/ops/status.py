"""What a running server or client says of itself, for ``hushtune status``: numbers and short names; free text is refused."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from shared.config.section import Section, SiteId
from shared.config.toml import read_toml
from shared.errors import RunError

Code = Annotated[str, StringConstraints(pattern=r"^[\w.:@+/\[\]-]{1,128}$")]
FILE = "status.json"
Stage = Literal["waiting_for_sites", "asking", "between_rounds", "finished", "failed"]
Outcome = Literal["training", "sent", "refused", "failed"]


class SiteSeen(Section):
    """A site as the server sees it."""

    site_id: SiteId = Field(description="which site")
    connected: bool = Field(description="whether it can be asked now")
    last_seen: float | None = Field(None, description="when it last counted as connected, seconds since 1970")
    last_round: int | None = Field(None, description="the last round that it was asked for")
    outcome: Code | None = Field(None, description="accepted, missing, or why its last answer was rejected")


class ServerStatus(Section):
    """A server: which run, how far, and what it waits for."""

    kind: Literal["server"] = Field("server", description="a server's status")
    run: Code = Field(description="name of the run")
    run_id: Code = Field(description="id of the run")
    stage: Stage = Field(description="what it does now")
    round: int = Field(0, ge=0, description="the round under way, or the last one")
    rounds: int = Field(ge=1, description="rounds of the run")
    committed: int = Field(0, ge=0, description="rounds that count so far")
    attempt: int = Field(1, ge=1, description="which try of the round this is")
    quorum: int = Field(ge=1, description="accepted replies that a round needs")
    waits_for: tuple[SiteId, ...] = Field((), description="sites whose reply is still out")
    sites: tuple[SiteSeen, ...] = Field((), description="every site that may connect")


class OrderSeen(Section):
    """An order that a site got, and what became of it."""

    time: float = Field(description="when, seconds since 1970")
    run_id: Code = Field(description="its run")
    round: int = Field(description="its round")
    outcome: Outcome = Field(description="what the site did")
    reason: Code | None = Field(None, description="the policy's field, or the class of an error")


class BudgetSeen(Section):
    """What is spent and what is allowed, of one dataset or of all together."""

    of: Code = Field(description="a dataset's short fingerprint, or 'site'")
    spent: float | None = Field(
        ge=0,
        allow_inf_nan=False,
        description="epsilon spent, open reservations included, never too low; none where no bound holds",
    )
    counted_by: Literal["plan", "filter"] = Field(
        "plan", description="of one run its plan gives epsilon, of several the filter for adaptive choice"
    )
    limit: float = Field(gt=0, description="epsilon that the policy allows")
    delta: float = Field(gt=0, lt=1, description="delta at which both count")


class SiteStatus(Section):
    """A client: whether it is connected, what is left of its budget, and its last orders and refusals."""

    kind: Literal["site"] = Field("site", description="a site's status")
    site_id: SiteId = Field(description="which site")
    server: Code = Field(description="address of the server")
    connection: Literal["connecting", "connected", "refused", "closed"] = Field(description="how it stands with the server")
    since: float = Field(description="since when, seconds since 1970")
    budgets: tuple[BudgetSeen, ...] = Field((), description="each dataset's budget, and the site's")
    orders: tuple[OrderSeen, ...] = Field((), max_length=50, description="its last orders, the newest last")


class _Written(Section):
    """The file: who wrote it, when, and what."""

    pid: int = Field(ge=1, description="process that wrote it")
    updated: float = Field(description="when, seconds since 1970")
    status: ServerStatus | SiteStatus = Field(description="what it said")


@dataclass(frozen=True)
class Sighting:
    """A status as it was found: what, from which process, how old, and whether that process is still there."""

    status: ServerStatus | SiteStatus
    pid: int
    age: float
    running: bool


@dataclass(frozen=True)
class StatusFile:
    """The small file that a process rewrites whenever something changes, and at least once a minute."""

    path: Path

    def write(self, status: ServerStatus | SiteStatus) -> None:
        """Replace the file whole; a reader sees the old or the new one."""
        written = _Written(pid=os.getpid(), updated=time.time(), status=status)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f"{self.path.name}.partial")
        partial.write_text(written.model_dump_json(), encoding="utf-8")
        partial.chmod(0o600)  # who is in a cohort may be a secret of the server's
        partial.rename(self.path)

    def read(self) -> Sighting:
        """What the file says now.

        Raises:
            RunError: there is no such file, or it is damaged.
        """
        try:
            written = _Written.model_validate(json.loads(self.path.read_text(encoding="utf-8")))
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot be read ({error.strerror}); start the server or the client first"
            ) from error
        except (ValueError, ValidationError) as error:
            raise RunError(f"{self.path}: damaged, or of another version; restart the process that writes it") from error
        return Sighting(written.status, written.pid, max(0.0, time.time() - written.updated), _is_running(written.pid))


def status_file(folder: Path) -> StatusFile:
    """The status file of a server's state folder, of a site's state folder, or of a site's folder with its SITE.toml.

    Raises:
        RunError: the folder is none of these, or nothing has run there yet.
    """
    candidates = [folder / FILE]
    if (folder / "SITE.toml").is_file():
        state = read_toml(folder / "SITE.toml").get("site", {}).get("state", "state")
        candidates.append(folder / str(state) / FILE)
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise RunError(
            f"{folder}: nothing has run here yet (no {FILE}); give the server's --state folder, or the folder with SITE.toml"
        )
    return StatusFile(found)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
