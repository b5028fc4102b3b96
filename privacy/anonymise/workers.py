"""Scrub chunks of records in spawned worker processes; each builds its analyser once and needs no torch."""

import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import TypeVar

from privacy.anonymise.scrubbed import Scrubbed
from privacy.detect.spacy_models import is_transformer, locate_second
from shared.config.anonymise import AnonymiseSection
from shared.errors import RunError
from shared.ops.workers import Broken, Worker, start
from shared.records.types import RawRecord

T = TypeVar("T")
Chunk = Sequence[RawRecord]


def scrub_in_workers(
    section: AnonymiseSection,
    chunks: Sequence[Chunk],
    workers: int,
    finished: Callable[[Chunk], None],
    key: bytes = b"",
) -> list[Scrubbed]:
    """Scrub chunks in ``workers`` processes, each chunk as soon as a process is free.

    Parameters
    ----------
    section
        The ``[anonymise]`` section of the config.
    chunks
        Raw records of one site, in chunks.
    workers
        Number of processes.
    finished
        Called with each chunk that is done.
    key
        The site's secret for surrogates and date offsets.

    Returns
    -------
    list of Scrubbed
        One result for each chunk, in order.

    Raises
    ------
    RunError
        A worker died or could not start; there is no result then.
    """
    crew: list[Worker] = []
    try:
        crew.extend(start(serve, section, key) for _ in range(workers))
        return _hand_out(crew, chunks, finished)
    finally:
        for worker in crew:
            worker.end()


def serve(pipe: Connection, section: AnonymiseSection, key: bytes = b"") -> None:
    """Receive chunks and send their results until the pipe closes; this function runs in a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent receives it too, and ends its workers
    # spaCy and Presidio import torch where they can, which takes seconds and hundreds of megabytes, and do not use it
    # here. A None in sys.modules makes the import fail, as if torch were not installed.
    second = locate_second(section)
    for name in ("torch", "transformers"):
        if name not in sys.modules and not (second and is_transformer(second)):
            sys.modules[name] = None  # type: ignore[assignment]
    try:
        from privacy.anonymise.polyglot import Polyglot

        scrubber = Polyglot(section, key)
        while True:
            pipe.send(scrubber.scrub(pipe.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:
        pipe.send(Broken.of(error))


def _hand_out(crew: Sequence[Worker], chunks: Sequence[Chunk], finished: Callable[[Chunk], None]) -> list[Scrubbed]:
    """Keep every worker busy until all chunks are done."""
    waiting = iter(range(len(chunks)))
    results: dict[int, Scrubbed] = {}
    busy: dict[Connection, tuple[Worker, int]] = {}

    def give(worker: Worker) -> None:
        index = next(waiting, None)
        if index is not None:
            _exchange(worker, lambda: worker.pipe.send(chunks[index]))
            busy[worker.pipe] = (worker, index)

    for worker in crew:
        give(worker)
    while busy:
        for pipe in wait(list(busy)):
            worker, index = busy.pop(pipe)  # type: ignore[call-overload]
            answer = _exchange(worker, worker.pipe.recv)
            if isinstance(answer, Broken):
                raise RunError(f"anonymiser: a worker process failed: {answer.message}")
            results[index] = answer
            finished(chunks[index])
            give(worker)
    return [results[index] for index in range(len(chunks))]


def _exchange(worker: Worker, step: Callable[[], T]) -> T:
    """Send or receive; raise a ``RunError`` if the worker has died."""
    try:
        return step()
    except (EOFError, OSError):
        worker.process.join(5)
        raise RunError(
            f"anonymiser: a worker process died (exit status {worker.process.exitcode}), so nothing was scrubbed; "
            "it may have run out of memory: set fewer anonymise.workers or a smaller anonymise.batch_size"
        ) from None
