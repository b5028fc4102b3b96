"""Scrub chunks of records in spawned worker processes; each builds its analyser once and needs no torch."""

import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from threading import Lock

from privacy.anonymise.scrubbed import Scrubbed
from privacy.detect.spacy_models import is_transformer, locate_second
from shared.config.anonymise import AnonymiseSection
from shared.errors import RunError
from shared.ops.workers import Broken, Worker, answer, start
from shared.records.types import RawRecord

Chunk = Sequence[RawRecord]
WHO = "anonymiser: a worker process"
DIED = "nothing was scrubbed; it may have run out of memory: set fewer anonymise.workers or a smaller anonymise.batch_size"


class Crew:
    """The worker processes of one anonymiser; each loads its models as soon as it starts, without waiting for records.

    Parameters
    ----------
    section
        The ``[anonymise]`` section of the config.
    key
        The site's secret for surrogates and date offsets.
    """

    def __init__(self, section: AnonymiseSection, key: bytes = b"") -> None:
        self._section, self._key = section, key
        self._workers: list[Worker] = []
        self._changing = Lock()
        self.has_ended = False

    def grow(self, workers: int) -> None:
        """Start processes until there are this many.

        Raises
        ------
        RunError
            The crew has ended, in another thread perhaps; a process that started now would be ended by nobody.
        """
        while len(self._workers) < workers or self.has_ended:
            with self._changing:
                if self.has_ended:
                    raise RunError("anonymiser: it was closed while it scrubbed records")
                self._workers.append(start(serve, self._section, self._key))

    def scrub(self, chunks: Sequence[Chunk], advance: Callable[[int], None]) -> list[Scrubbed]:
        """Scrub chunks of records, each as soon as a process is free.

        Parameters
        ----------
        chunks
            Raw records, in chunks.
        advance
            Called with the number of records of each chunk that is done.

        Returns
        -------
        list of Scrubbed
            One result for each chunk, in order.

        Raises
        ------
        RunError
            A worker died or could not start; there is no result then.
        """
        waiting = iter(range(len(chunks)))
        results: dict[int, Scrubbed] = {}
        busy: dict[Connection, tuple[Worker, int]] = {}

        def give(worker: Worker) -> None:
            index = next(waiting, None)
            if index is not None:
                worker.exchange(lambda: worker.pipe.send(chunks[index]), WHO, DIED)
                busy[worker.pipe] = (worker, index)

        for worker in self._workers:
            give(worker)
        while busy:
            for pipe in wait(list(busy)):
                worker, index = busy.pop(pipe)  # type: ignore[call-overload]
                found = worker.exchange(worker.pipe.recv, WHO, DIED)
                if isinstance(found, Broken):
                    raise RunError(f"anonymiser: a worker process failed: {found.message}")
                results[index] = found
                advance(len(chunks[index]))
                give(worker)
        return [results[index] for index in range(len(chunks))]

    def end(self) -> None:
        """End the processes, for good."""
        with self._changing:
            self.has_ended = True
            for worker in self._workers:
                worker.end()
            self._workers = []


def serve(pipe: Connection, section: AnonymiseSection, key: bytes = b"") -> None:
    """Receive chunks and send their results until the pipe closes; this function runs in a worker process."""
    # spaCy and Presidio import torch if it is installed, which takes seconds and hundreds of megabytes, but only a second
    # recogniser of transformers uses it. A None in sys.modules makes the import fail, as if torch were not installed.
    second = locate_second(section)
    for name in ("torch", "transformers"):
        if name not in sys.modules and not (second and is_transformer(second)):
            sys.modules[name] = None  # type: ignore[assignment]

    def build() -> Callable[[Chunk], Scrubbed]:
        from privacy.anonymise.polyglot import Polyglot

        return Polyglot(section, key).scrub

    answer(pipe, build)
