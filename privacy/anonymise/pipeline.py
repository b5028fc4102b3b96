"""Turn raw records into scrubbed records and counts, in this process or in several."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from itertools import islice
from threading import Event, Thread
from typing import TYPE_CHECKING

from privacy.anonymise.scrubbed import Scrubbed, merge_scrubbed
from privacy.anonymise.workers import Crew
from privacy.detect.spacy_models import locate_models
from shared.config.anonymise import AnonymiseSection
from shared.records.types import RawRecord

if TYPE_CHECKING:
    from privacy.anonymise.polyglot import Polyglot

Groups = Sequence[Sequence[RawRecord]]
POLL = 0.2  # seconds between two reports of the progress of scrubbing ahead
CHUNK = 128  # records that a process scrubs at once
# Starting processes takes seconds; below this number of records, one process is faster.
FEW = 500


class Anonymiser:
    """The only way from ``RawRecord`` to ``Record``; it fails closed.

    A record that cannot be scrubbed is held back with a reason, and stops no other record. Nothing here logs or prints text,
    and no exception carries any. A record's label passes unchanged: it must be one of the public labels. The language model
    is loaded at the first use, once in each process.

    Parameters
    ----------
    section
        The ``[anonymise]`` section of the config.
    key
        The site's secret for surrogates and date offsets; None draws one that only this object knows.

    Raises
    ------
    ModelError
        The section's spaCy model cannot be found, or its language lacks a part.
    """

    def __init__(self, section: AnonymiseSection, key: bytes | None = None) -> None:
        locate_models(section)  # refuse an incomplete language, or a missing model, before any record is read
        self.section = section
        self._key = key or os.urandom(32)
        self._scrubber: Polyglot | None = None
        self._crew: Crew | None = None
        self._ahead: _Ahead | None = None

    def begin(self, read: Callable[[], Groups] | None = None) -> None:
        """Start a worker process that loads the models while this process does other work; `close` ends it.

        This does nothing if the config or the machine permits only one process.

        Parameters
        ----------
        read
            Reads the groups of records that `scrub_groups` will be called with. A thread reads them and lets the workers
            scrub them, and `scrub_groups` then waits for the results. If ``read`` raises an error, or `scrub_groups` is
            called with other groups, `scrub_groups` does all the work itself.
        """
        if self._crew is None and self._workers() > 1:
            crew = self._crew = Crew(self.section, self._key)
            crew.grow(1)
            if read is not None:
                self._ahead = _Ahead(read, lambda groups, progress: self._scrub_groups(groups, progress, crew))
                self._ahead.start()

    def wait_until_read(self) -> None:
        """Wait until the thread that `begin` started, if there is one, has read its groups or failed."""
        if self._ahead is not None:
            self._ahead.has_read.wait()

    def close(self) -> None:
        """End the worker processes, if there are any."""
        ahead, crew = self._ahead, self._crew
        self._ahead = self._crew = None
        if ahead is not None:
            ahead.wanted = False
        if crew is not None:
            crew.end()
        if ahead is not None:
            ahead.join()

    def scrub(self, records: Sequence[RawRecord], progress: Callable[[int], None] | None = None) -> Scrubbed:
        """Scrub the records of one site, as `scrub_groups` does those of several."""
        return self.scrub_groups([records], progress)[0]

    def scrub_groups(self, groups: Groups, progress: Callable[[int], None] | None = None) -> list[Scrubbed]:
        """Scrub several groups of records separately; the worker processes start once for all of them.

        Parameters
        ----------
        groups
            Raw records of several sites.
        progress
            Called with the number of records done since the last call.

        Returns
        -------
        list of Scrubbed
            One result for each group, in order.

        Raises
        ------
        ModelError
            The spaCy model cannot be loaded.
        RunError
            A worker process died; there is no result then.
        """
        # The thread is forgotten only when it has ended: `close` ends the thread if this wait is interrupted.
        found = self._ahead.results(groups, progress) if self._ahead is not None else None
        self._ahead = None
        crew, self._crew = self._crew, None
        if found is not None:
            return found
        return self._scrub_groups(groups, progress, None if crew is None or crew.has_ended else crew)

    def _scrub_groups(self, groups: Groups, progress: Callable[[int], None] | None, crew: Crew | None) -> list[Scrubbed]:
        """Scrub groups in the worker processes of a crew, which is ended, or without one in new ones or in this process."""
        chunked = [[group[at : at + CHUNK] for at in range(0, len(group), CHUNK)] for group in groups]
        chunks = [chunk for group in chunked for chunk in group]
        advance = progress or (lambda _: None)
        workers = min(self._workers(), len(chunks))
        few = workers < 2 or sum(map(len, groups)) < FEW
        if few and crew is None:
            results = iter([self._scrub_here(chunk, advance) for chunk in chunks])
        else:
            crew = crew or Crew(self.section, self._key)
            try:
                crew.grow(1 if few else workers)
                results = iter(crew.scrub(chunks, advance))
            finally:
                crew.end()
        return [merge_scrubbed(islice(results, len(group))) for group in chunked]

    def _scrub_here(self, chunk: Sequence[RawRecord], advance: Callable[[int], None]) -> Scrubbed:
        """Scrub one chunk in this process."""
        if self._scrubber is None:
            # Imported here, because spaCy and Presidio take seconds to import and a process that only starts workers needs
            # neither.
            from privacy.anonymise.polyglot import Polyglot

            self._scrubber = Polyglot(self.section, self._key)
        result = self._scrubber.scrub(chunk)
        advance(len(chunk))
        return result

    def _workers(self) -> int:
        """Return the number of processes to use: one within a daemonic process, which may not start any."""
        if multiprocessing.current_process().daemon:
            return 1
        if self.section.workers:
            return self.section.workers
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Ahead(Thread):
    """Reads groups of records and has them scrubbed while the main thread does other work.

    Parameters
    ----------
    read
        Reads the groups.
    scrub
        Scrubs them, and counts the records that are done.
    """

    def __init__(self, read: Callable[[], Groups], scrub: Callable[[Groups, Callable[[int], None]], list[Scrubbed]]) -> None:
        super().__init__(daemon=True)
        self.wanted = True  # until the anonymiser is closed
        self.has_read = Event()
        self._read, self._scrub = read, scrub
        self._groups: Groups | None = None
        self._scrubbed: list[Scrubbed] | Exception | None = None
        self._done = 0

    def run(self) -> None:
        """Read and scrub; an error in reading counts as having read nothing."""
        try:
            self._groups = self._read()
        except Exception:
            return
        finally:
            self.has_read.set()
        try:
            if self.wanted:
                self._scrubbed = self._scrub(self._groups, self._count)
        except Exception as error:
            self._scrubbed = error

    def results(self, groups: Groups, progress: Callable[[int], None] | None) -> list[Scrubbed] | None:
        """Return the results for these groups when all are done; None if other groups were read, or none.

        Raises
        ------
        HushtuneError
            The groups could not be scrubbed.
        """
        self.has_read.wait()
        if self._groups is None or list(map(list, self._groups)) != list(map(list, groups)):
            self.join()
            return None
        told, running = 0, True
        while running:
            self.join(POLL)
            running, done = self.is_alive(), self._done
            if progress and done > told:
                progress(done - told)
            told = done
        if isinstance(self._scrubbed, Exception):
            raise self._scrubbed
        return self._scrubbed

    def _count(self, records: int) -> None:
        self._done += records
