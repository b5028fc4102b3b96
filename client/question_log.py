"""Count on disk which questions about its records a site has let a server ask, before a record is read.

An order that a site declines, or fails to carry out, tells the server one bit about the records, and no noise hides it. So
each different set-up is counted, and also each round that began and has no reply. Beyond the limits of the policy, only the
steward can allow more.
"""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError

from privacy.policy import OR_RAISE, SitePolicy
from privacy.questions import set_up_of
from shared.config.run import RunConfig
from shared.config.section import Name, Section
from shared.errors import PolicyRefused, PrivacyError
from shared.ops.disk import replace_file

DAY = 86_400.0  # seconds
ADMIT = f"the steward may look at them and allow more with 'hushtune provision admit', {OR_RAISE}"


class Asked(Section):
    """A set-up of the records that an order asked for."""

    time: float = Field(description="time of the order, seconds since 1970")
    run: Name = Field(description="name of the run that asked first")
    set_up: str = Field(pattern=r"^[0-9a-f]{64}$", description="identifier (privacy.questions.set_up_of)")


class Begun(Section):
    """A round that began; it is removed when its reply is ready, so the remaining ones have failed."""

    time: float = Field(description="time at which it began, seconds since 1970")
    run_id: str = Field(description="id of the run")
    round: int = Field(description="number of the round")


class Admitted(Section):
    """A permission by the steward."""

    time: float = Field(description="time, seconds since 1970; earlier failures are no longer counted")
    more: int = Field(ge=0, description="further set-ups that may be asked for")


class Book(Section):
    """The content of the log's file."""

    asked: tuple[Asked, ...] = Field((), description="set-ups, the newest last")
    begun: tuple[Begun, ...] = Field((), description="rounds that began and have no reply")
    admitted: tuple[Admitted, ...] = Field((), description="permissions by the steward")


Dated = TypeVar("Dated", Asked, Begun, Admitted)


@dataclass(frozen=True)
class Count:
    """Current numbers of set-ups and failures, and their limits."""

    set_ups: int
    may_set_up: int
    failures: int
    may_fail: int


class SetUps:
    """The log of questions in a site's state folder; every change is on disk before the method returns."""

    def __init__(self, path: Path, policy: SitePolicy, clock: Callable[[], float] = time.time) -> None:
        self._path, self._policy, self._clock = path, policy, clock

    def book(self) -> Book:
        """Read the file; it is empty at first.

        Raises
        ------
        PrivacyError
            The file cannot be read, so nothing may be asked.
        """
        try:
            return Book.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return Book()
        except (OSError, ValidationError):
            raise PrivacyError(
                f"{self._path}: cannot be read, so earlier questions of the server are unknown and nothing is trained; "
                "restore it from a backup"
            ) from None

    def count(self) -> Count:
        """Return the current counts and limits."""
        return self._count(self.book())

    def allow(self, run: RunConfig) -> None:
        """Enter the set-up that a run asks for, as the site carries it out, unless it is in the file already.

        Raises
        ------
        PolicyRefused
            It would exceed the policy's limit, or too many rounds began here without a reply.
        PrivacyError
            The file cannot be read or written.
        """
        with self._changing() as book:
            wanted, counts = set_up_of(run), self._count(book)
            if counts.failures >= counts.may_fail:
                order = f"comes after {counts.failures} rounds in {self._days} that began here and have no reply"
                raise PolicyRefused("max_failures", order, f"allows {self._policy.max_failures}", ADMIT)
            if wanted in {asked.set_up for asked in self._recent(book.asked)}:
                return
            if counts.set_ups >= counts.may_set_up:
                order = f"asks for another set-up of the records than the {counts.set_ups} in {self._days} before it"
                raise PolicyRefused("max_set_ups", order, f"allows {counts.may_set_up}", ADMIT)
            new = Asked(time=self._clock(), run=run.run.name, set_up=wanted)
            self._write(book.model_copy(update={"asked": (*book.asked, new)}))

    @contextmanager
    def attempt(self, run_id: str, round_number: int, answered: bool = True) -> Iterator[None]:
        """Count a round as begun while the block carries it out.

        The round is removed if the block ends well or the process is asked to end; after an exception or a crash it stays
        counted.

        The first phase of a secure sum draws a batch that nothing has paid for yet, and the time that this takes depends on
        the batch. So the round stays counted after the block until the second phase calls `answered`, and a server cannot
        ask for first phases without end.

        Parameters
        ----------
        run_id
            Id of the run.
        round_number
            Number of the round, from 1.
        answered
            Whether the block makes the round's reply; false in the first phase of a secure sum.
        """
        begun = Begun(time=self._clock(), run_id=run_id, round=round_number)
        with self._changing() as book:
            self._write(book.model_copy(update={"begun": (*book.begun, begun)}))
        stays = not answered
        try:
            yield
        except Exception:
            stays = True
            raise
        except BaseException:
            stays = False
            raise
        finally:
            if not stays:
                self._ended(begun)

    def answered(self, run_id: str, round_number: int) -> None:
        """Remove the last first phase of a round, whose vector is ready; earlier attempts at the round stay counted."""
        open_ones = [each for each in self.book().begun if (each.run_id, each.round) == (run_id, round_number)]
        if open_ones:
            self._ended(open_ones[-1])

    def admit(self, more: int) -> None:
        """Allow ``more`` further set-ups, and no longer count the failures until now."""
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
        """Return the entries that are recent enough to count; future ones count too, because a clock may be set back."""
        oldest = self._clock() - DAY * self._policy.count_days
        return [entry for entry in entries if entry.time > oldest]

    @contextmanager
    def _changing(self) -> Iterator[Book]:
        """Yield the content of the file while holding a lock against every other process and thread."""
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
