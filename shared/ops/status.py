"""Write and read the status file of a running server or client: numbers and short names only, no free text."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from shared.config.section import Section, SiteId
from shared.config.toml import read_toml
from shared.errors import RunError
from shared.ops.disk import PRIVATE

Code = Annotated[str, StringConstraints(pattern=r"^[\w.:@+/\[\]-]{1,128}$")]
FILE = "status.json"
Stage = Literal["starting", "waiting_for_sites", "asking", "between_rounds", "finished", "failed"]
UnderWay = Literal["assessing", "anonymising", "paraphrasing", "loading", "training"]
Outcome = Literal[UnderWay, "sent", "refused", "failed"]


class SiteSeen(Section):
    """The state of one site as seen by the server."""

    site_id: SiteId = Field(description="name of the site")
    connected: bool = Field(description="whether the site is connected, so that a round can include it")
    last_seen: float | None = Field(None, description="time at which the site was last connected, seconds since 1970")
    last_round: int | None = Field(None, description="the last round for which the site got an order")
    outcome: Code | None = Field(None, description="accepted, missing, or why the site's last reply was rejected")


class ServerStatus(Section):
    """Status of a server: its run, the run's progress, and the sites that it waits for."""

    kind: Literal["server"] = Field("server", description="a server's status")
    run: Code = Field(description="name of the run")
    run_id: Code = Field(description="id of the run")
    stage: Stage = Field(description="what the server is doing now")
    round: int = Field(0, ge=0, description="current round, or the last one")
    rounds: int = Field(ge=1, description="total rounds of the run")
    committed: int = Field(0, ge=0, description="rounds committed so far")
    attempt: int = Field(1, ge=1, description="number of this attempt at the round")
    quorum: int = Field(ge=1, description="accepted replies that a round needs")
    waits_for: tuple[SiteId, ...] = Field((), description="sites that have not replied yet")
    sites: tuple[SiteSeen, ...] = Field((), description="every site that may connect")


class OrderSeen(Section):
    """An order that a site received, and its outcome."""

    time: float = Field(description="time of the order, seconds since 1970")
    run_id: Code = Field(description="id of the run")
    round: int = Field(description="number of the round")
    outcome: Outcome = Field(description="what the site did")
    reason: Code | None = Field(None, description="the field of the policy that refused it, or the class of the error")


class BudgetSeen(Section):
    """Privacy budget spent and allowed, for one dataset or for the whole site."""

    of: Code = Field(description="a dataset's short fingerprint, or 'site'")
    spent: float | None = Field(
        ge=0,
        allow_inf_nan=False,
        description="epsilon spent, including open reservations, as an upper bound; none if records were used without "
        "privacy",
    )
    counted_by: Literal["plan", "filter"] = Field(
        "plan", description="plan: the plan of the only run; filter: the Renyi filter for several runs"
    )
    limit: float = Field(gt=0, description="epsilon that the policy allows")
    delta: float = Field(gt=0, lt=1, description="delta at which both epsilons hold")


class SiteStatus(Section):
    """Status of a client: its connection, its remaining budget, and its last orders."""

    kind: Literal["site"] = Field("site", description="a site's status")
    site_id: SiteId = Field(description="name of the site")
    server: Code = Field(description="address of the server")
    connection: Literal["connecting", "connected", "refused", "closed"] = Field(
        description="state of its connection to the server"
    )
    reason: Code | None = Field(None, description="why there is no connection, as a short name")
    since: float = Field(description="time of the last change of the connection, seconds since 1970")
    budgets: tuple[BudgetSeen, ...] = Field((), description="each dataset's budget, and the site's")
    orders: tuple[OrderSeen, ...] = Field((), max_length=50, description="the last orders, the newest one last")


class _Written(Section):
    """Content of the status file: the status, the process that wrote it, and the time."""

    pid: int = Field(ge=1, description="id of the process that wrote the file")
    updated: float = Field(description="time of writing, seconds since 1970")
    status: ServerStatus | SiteStatus = Field(description="the status")


@dataclass(frozen=True)
class Sighting:
    """A status read from the file, the process that wrote it, its age in seconds, and whether that process is running."""

    status: ServerStatus | SiteStatus
    pid: int
    age: float
    running: bool


@dataclass(frozen=True)
class StatusFile:
    """The small file that a process rewrites whenever its status changes, and at least once a minute."""

    path: Path

    def write(self, status: ServerStatus | SiteStatus) -> None:
        """Replace the file atomically; a reader sees either the old or the new status."""
        written = _Written(pid=os.getpid(), updated=time.time(), status=status)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f"{self.path.name}.partial")
        partial.touch()
        partial.chmod(PRIVATE)  # before anything is in it, because the members of a cohort may be secret
        partial.write_text(written.model_dump_json(), encoding="utf-8")
        partial.rename(self.path)

    def read(self) -> Sighting:
        """Read the file.

        Raises
        ------
        RunError
            The file cannot be read or is damaged.
        """
        try:
            written = _Written.model_validate_json(self.path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot be read ({error.strerror}); start the server or the client first"
            ) from error
        except ValueError as error:
            raise RunError(
                f"{self.path}: damaged, or written by another version; restart the process that writes it"
            ) from error
        return Sighting(written.status, written.pid, max(0.0, time.time() - written.updated), _is_running(written.pid))


def status_file(folder: Path) -> StatusFile:
    """Return the status file of a server's state folder, a site's state folder, or a site's folder with its SITE.toml.

    Raises
    ------
    ConfigError
        SITE.toml cannot be read.
    RunError
        The folder is none of these, or nothing has run there yet.
    """
    candidates = [folder / FILE]
    if (folder / "SITE.toml").is_file():
        site = read_toml(folder / "SITE.toml").get("site")
        candidates.append(folder / str(site.get("state", "state") if isinstance(site, dict) else "state") / FILE)
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
