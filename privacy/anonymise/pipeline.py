"""The anonymiser: raw records in, scrubbed records and counts out, in this process or in several."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from privacy.anonymise.language import locate
from privacy.anonymise.outcome import Scrubbed, merge_scrubbed
from privacy.anonymise.workers import scrub_in_workers
from shared.config import AnonymiseSection
from shared.record import RawRecord

if TYPE_CHECKING:
    from privacy.anonymise.scrubber import Scrubber

# Chunks are cut the same way however many processes there are, so that the results are the same too.
CHUNK = 128
# Starting processes takes seconds; below this many records one is sooner done.
FEW = 500


class Anonymiser:
    """The only way from ``RawRecord`` to ``Record``; it fails closed.

    A record that cannot be scrubbed is held back with a reason, alone. Nothing here logs or prints text, and no
    exception that leaves carries any. The language model is loaded at the first use, once in each process.

    Raises:
        ModelError: the spaCy model of the section cannot be had.
    """

    def __init__(self, section: AnonymiseSection) -> None:
        self._section = section
        self._folder = locate(section.spacy_model)
        self._scrubber: Scrubber | None = None

    def scrub(self, records: Sequence[RawRecord], progress: Callable[[int], None] | None = None) -> Scrubbed:
        """Scrub records; ``progress`` is called with the number of records done so far.

        Raises:
            ModelError: the spaCy model cannot be loaded.
            RunError: a worker process died; there is no result then.
        """
        chunks = [records[start : start + CHUNK] for start in range(0, len(records), CHUNK)]
        done = 0

        def finished(chunk: Sequence[RawRecord]) -> None:
            nonlocal done
            done += len(chunk)
            if progress:
                progress(done)

        workers = min(self._workers(), len(chunks))
        if workers < 2 or len(records) < FEW:
            return merge_scrubbed(self._scrub_here(chunk, finished) for chunk in chunks)
        return merge_scrubbed(scrub_in_workers(self._section, self._folder, chunks, workers, finished))

    def _scrub_here(self, chunk: Sequence[RawRecord], finished: Callable[[Sequence[RawRecord]], None]) -> Scrubbed:
        """Scrub one chunk in this process."""
        if self._scrubber is None:
            # Importing spaCy and Presidio takes seconds, which a process with workers need not spend.
            from privacy.anonymise.scrubber import Scrubber

            self._scrubber = Scrubber(self._section, self._folder)
        result = self._scrubber.scrub(chunk)
        finished(chunk)
        return result

    def _workers(self) -> int:
        """How many processes to use; a daemonic process may not start any."""
        if multiprocessing.current_process().daemon:
            return 1
        return self._section.workers or len(os.sched_getaffinity(0))
