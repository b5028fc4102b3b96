"""The questions about its records that a site has let a server ask, counted on the disk before a record is read.

An order that a site declines, or fails to carry out, tells the server one bit about the records, and no noise covers it.
So each different set-up is counted, and so is each round that began and has no reply: beyond the policy's limits only the
steward lets more pass.
"""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError

from privacy.policy import ASK, SitePolicy
from privacy.questions import set_up_of
from shared.config.run import RunConfig
from shared.config.section import Name, Section
from shared.errors import PolicyRefused, PrivacyError
from shared.ops.disk import replace_file

DAY = 86_400.0  # seconds
ADMIT = f"the steward may look at them and let more pass with 'hushtune provision admit', {ASK}"


class Asked(Section):
    """A set-up that was asked for."""

    time: float = Field(description="when, seconds since 1970")
    run: Name = Field(description="name of the run that asked first")
    set_up: str = Field(pattern=r"^[0-9a-f]{64}$", description="what tells it from others (privacy.questions.set_up_of)")


class Begun(Section):
    """A round that began; it is taken out when its reply is ready, so what stays has failed."""

    time: float = Field(description="when, seconds since 1970")
    run_id: str = Field(description="its run")
    round: int = Field(description="its round")


class Admitted(Section):
    """A steward's permission."""

    time: float = Field(description="when, seconds since 1970; failures before it count no more")
    more: int = Field(ge=0, description="further set-ups that may be asked for")


class Book(Section):
    """All of it, as it is written."""

    asked: tuple[Asked, ...] = Field((), description="set-ups, the newest last")
    begun: tuple[Begun, ...] = Field((), description="rounds that began and have no reply")
    admitted: tuple[Admitted, ...] = Field((), description="what the steward let pass")


Dated = TypeVar("Dated", Asked, Begun, Admitted)


@dataclass(frozen=True)
class Count:
    """How many set-ups and failures count now, and how many may be asked for."""

    set_ups: int
    may_set_up: int
    failures: int
    may_fail: int


class SetUps:
    """The book in a site's state folder; each change is on the disk, whole, before the method returns."""

    def __init__(self, path: Path, policy: SitePolicy, clock: Callable[[], float] = time.time) -> None:
        self._path, self._policy, self._clock = path, policy, clock

    def book(self) -> Book:
        """What is written.

        Raises:
            PrivacyError: it cannot be read, so nothing may be asked.
        """
        try:
            return Book.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return Book()
        except (OSError, ValidationError):
            raise PrivacyError(
                f"{self._path}: cannot be read, so it is not known what the server asked before, and nothing is trained; "
                "restore it from a backup"
            ) from None

    def count(self) -> Count:
        """What counts now."""
        return self._count(self.book())

    def allow(self, run: RunConfig) -> None:
        """Return when the set-up that a run asks for is in the book.

        Raises:
            PolicyRefused: it would be one more than the policy allows, or too many rounds began here and have no reply.
            PrivacyError: the book cannot be read or written.
        """
        with self._changing() as book:
            wanted, counts = set_up_of(run), self._count(book)
            if counts.failures >= counts.may_fail:
                asked = f"comes after {counts.failures} rounds in {self._days} that began here and have no reply"
                raise PolicyRefused("max_failures", asked, f"allows {self._policy.max_failures}", ADMIT)
            if wanted in {asked.set_up for asked in self._recent(book.asked)}:
                return
            if counts.set_ups >= counts.may_set_up:
                asked = f"asks for another set-up of the records than the {counts.set_ups} in {self._days} before it"
                raise PolicyRefused("max_set_ups", asked, f"allows {counts.may_set_up}", ADMIT)
            new = Asked(time=self._clock(), run=run.run.name, set_up=wanted)
            self._write(book.model_copy(update={"asked": (*book.asked, new)}))

    @contextmanager
    def attempt(self, run_id: str, round_number: int) -> Iterator[None]:
        """Carry out a round; it stays in the book unless it ends well, or the process is asked to end."""
        begun = Begun(time=self._clock(), run_id=run_id, round=round_number)
        with self._changing() as book:
            self._write(book.model_copy(update={"begun": (*book.begun, begun)}))
        failed = False
        try:
            yield
        except Exception:
            failed = True
            raise
        finally:
            if not failed:
                self._ended(begun)

    def admit(self, more: int) -> None:
        """Let ``more`` further set-ups pass, and forget the failures until now."""
        with self._changing() as book:
            self._write(book.model_copy(update={"admitted": (*book.admitted, Admitted(time=self._clock(), more=more))}))

    def _ended(self, begun: Begun) -> None:
        with self._changing() as book:
            left = list(book.begun)
            left.remove(begun)
            self._write(book.model_copy(update={"begun": tuple(left)}))

    @property
    def _days(self) -> str:
        return f"{self._policy.count_days:g} days"

    def _count(self, book: Book) -> Count:
        admitted = self._recent(book.admitted)
        forgotten = max((each.time for each in book.admitted), default=0.0)
        return Count(
            len({asked.set_up for asked in self._recent(book.asked)}),
            self._policy.max_set_ups + sum(each.more for each in admitted),
            sum(begun.time > forgotten for begun in self._recent(book.begun)),
            self._policy.max_failures,
        )

    def _recent(self, entries: tuple[Dated, ...]) -> list[Dated]:
        """The entries that are not too old to count; one that seems to lie ahead counts, for a clock may be set back."""
        oldest = self._clock() - DAY * self._policy.count_days
        return [entry for entry in entries if entry.time > oldest]

    @contextmanager
    def _changing(self) -> Iterator[Book]:
        """The book, held against every other process and thread."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.with_suffix(".lock").open("w") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield self.book()
        except OSError as error:
            raise PrivacyError(
                f"{self._path}: cannot be written ({error.strerror or type(error).__name__}), so nothing is trained; make "
                "its folder writable and free some space"
            ) from error

    def _write(self, book: Book) -> None:
        replace_file(self._path, book.model_dump_json().encode())
