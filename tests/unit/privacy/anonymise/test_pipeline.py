import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any, ClassVar

import pytest

from privacy.anonymise import pipeline, workers
from privacy.anonymise.pipeline import Anonymiser
from privacy.anonymise.scrubbed import Quarantined, Scrubbed
from privacy.anonymise.workers import Crew
from privacy.detect.unfit import Reason
from shared.config.anonymise import AnonymiseSection
from shared.errors import DataError, ModelError, RunError
from shared.records.types import RawRecord, Record, Span

TEXTS = ("Dr. Okafor called from Leeds.", "Mail jo@example.org", "John \ud800", "I feel well.", "Ring +44 20 7946 0018")
ROOT = Path(__file__).parents[4]
RECORDS = [RawRecord({"text": TEXTS[i % 5]}, position=i + 1, spans={"text": (Span("X", 0, 3),)}) for i in range(40)]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "CHUNK", 7)
    monkeypatch.setattr(pipeline, "FEW", 0)


@pytest.fixture(scope="module")
def alone() -> Scrubbed:
    return Anonymiser(AnonymiseSection(workers=1)).scrub(RECORDS)


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks", "forked_workers")
def test_two_workers_give_the_same_result_as_one(alone: Scrubbed) -> None:
    seen: list[int] = []
    together = Anonymiser(AnonymiseSection(workers=2)).scrub(RECORDS, seen.append)
    assert together == alone
    assert [record.position for record in alone.records] == [i + 1 for i in range(40) if i % 5 != 2]
    assert alone.quarantined[0] == Quarantined(3, Reason.LONE_SURROGATE)
    assert alone.recall["X"].total == 32  # without those of the records that were held back
    assert sum(seen) == 40


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks", "forked_workers")
def test_a_dead_worker_ends_the_run_in_one_sentence_and_leaves_no_process() -> None:
    def kill(_: int) -> None:
        for process in multiprocessing.active_children():
            os.kill(process.pid or 0, signal.SIGKILL)

    with pytest.raises(RunError, match="worker process died") as caught:
        Anonymiser(AnonymiseSection(workers=2)).scrub(RECORDS, kill)
    assert "\n" not in str(caught.value)
    assert multiprocessing.active_children() == []


def scrub_apart(section: AnonymiseSection) -> None:
    crew = Crew(section)
    try:
        crew.grow(1)
        crew.scrub([RECORDS[:1]], lambda _: None)
    finally:
        crew.end()


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_a_worker_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no spaCy model of this name"):
        scrub_apart(AnonymiseSection(spacy_model=str(tmp_path)))


@pytest.mark.slow
def test_few_records_start_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Crew, "grow", lambda *_: pytest.fail("a process was started"))
    assert len(Anonymiser(AnonymiseSection(workers=2)).scrub(RECORDS).records) == 32


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_a_worker_that_was_started_early_scrubs_few_records_too_and_ends_with_them(alone: Scrubbed) -> None:
    early = Anonymiser(AnonymiseSection(workers=2))
    early.begin()
    assert len(multiprocessing.active_children()) == 1
    assert early.scrub(RECORDS) == alone
    assert multiprocessing.active_children() == []


@pytest.mark.usefixtures("forked_workers")
def test_a_worker_that_was_started_early_for_nothing_ends_when_the_anonymiser_is_closed() -> None:
    with closing(Anonymiser(AnonymiseSection(workers=2))) as early:
        early.begin()
        assert len(multiprocessing.active_children()) == 1
    assert multiprocessing.active_children() == []


class Recording:
    """A crew without processes, which passes every record as it is."""

    given: ClassVar[list[int]] = []

    def __init__(self, *_: object) -> None:
        self.has_ended = False

    def grow(self, workers: int) -> None:
        """Start nothing."""

    def scrub(self, chunks: Sequence[Sequence[RawRecord]], advance: Callable[[int], None]) -> list[Scrubbed]:
        for chunk in chunks:
            advance(len(chunk))
        self.given.append(sum(map(len, chunks)))
        return [Scrubbed(tuple(Record(raw.fields, raw.label, raw.position) for raw in chunk)) for chunk in chunks]

    def end(self) -> None:
        self.has_ended = True


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many records each scrubbing was given, which no process does."""
    monkeypatch.setattr(pipeline, "FEW", 0)
    monkeypatch.setattr(pipeline, "Crew", Recording)
    monkeypatch.setattr(Recording, "given", [])
    return Recording.given


GROUPS = (RECORDS[:25], RECORDS[25:])


def test_records_that_were_scrubbed_ahead_are_scrubbed_once_and_counted(given: list[int]) -> None:
    seen: list[int] = []
    with closing(Anonymiser(AnonymiseSection(workers=2))) as anonymiser:
        anonymiser.begin(lambda: GROUPS)
        anonymiser.wait_until_read()
        found = anonymiser.scrub_groups([list(group) for group in GROUPS], seen.append)
    assert [[record.position for record in each.records] for each in found] == [[*range(1, 26)], [*range(26, 41)]]
    assert given == [40]
    assert sum(seen) == 40


def test_other_records_than_those_that_were_scrubbed_ahead_are_scrubbed_and_counted_themselves(given: list[int]) -> None:
    seen: list[int] = []
    with closing(Anonymiser(AnonymiseSection(workers=2))) as anonymiser:
        anonymiser.begin(lambda: GROUPS)
        found = anonymiser.scrub_groups([RECORDS[:4], RECORDS[4:6]], seen.append)
    assert [[record.position for record in each.records] for each in found] == [[1, 2, 3, 4], [5, 6]]
    assert given == [40, 6]
    assert sum(seen) == 6


def test_records_that_cannot_be_read_ahead_are_scrubbed_when_they_are_there(given: list[int]) -> None:
    def fail() -> Sequence[Sequence[RawRecord]]:
        raise DataError("no such file")

    with closing(Anonymiser(AnonymiseSection(workers=2))) as anonymiser:
        anonymiser.begin(fail)
        anonymiser.wait_until_read()
        assert len(anonymiser.scrub(RECORDS).records) == 40
    assert given == [40]


def test_an_error_while_records_are_scrubbed_ahead_is_raised_when_they_are_asked_for(
    given: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RunError("a worker process died")

    monkeypatch.setattr(Recording, "scrub", fail)
    with closing(Anonymiser(AnonymiseSection(workers=2))) as anonymiser:
        anonymiser.begin(lambda: GROUPS)
        with pytest.raises(RunError, match="died"):
            anonymiser.scrub_groups(GROUPS)


def test_an_anonymiser_that_is_closed_before_its_records_are_read_scrubs_none(given: list[int]) -> None:
    closed = Event()

    def read() -> Sequence[Sequence[RawRecord]]:
        closed.wait(30)
        return GROUPS

    anonymiser = Anonymiser(AnonymiseSection(workers=2))
    anonymiser.begin(read)
    ahead = anonymiser._ahead
    assert ahead is not None
    closing_thread = Thread(target=anonymiser.close)
    closing_thread.start()
    while ahead.wanted:
        time.sleep(0.001)
    closed.set()
    closing_thread.join(30)
    assert not ahead.is_alive()
    assert given == []


@pytest.mark.usefixtures("forked_workers")
def test_an_anonymiser_that_is_closed_while_its_processes_start_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is refused in its first second is closed while the thread still starts processes."""
    growing, really = Event(), workers.start

    def start(*arguments: Any) -> Any:
        if multiprocessing.active_children():
            growing.set()
            time.sleep(0.2)
        return really(*arguments)

    monkeypatch.setattr(workers, "start", start)
    anonymiser = Anonymiser(AnonymiseSection(workers=3))
    anonymiser.begin(lambda: [RECORDS * 20])
    assert growing.wait(30)
    ahead = anonymiser._ahead
    anonymiser.close()
    assert ahead is not None
    assert not ahead.is_alive()
    assert multiprocessing.active_children() == []


def test_an_interruption_while_records_are_scrubbed_ahead_ends_the_thread(
    given: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = Event()

    def scrub(_: object, chunks: Sequence[Sequence[RawRecord]], advance: Callable[[int], None]) -> None:
        advance(len(chunks[0]))
        assert ended.wait(30)
        raise RunError("a worker process died")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Recording, "scrub", scrub)
    monkeypatch.setattr(Recording, "end", lambda _: ended.set())
    anonymiser = Anonymiser(AnonymiseSection(workers=2))
    anonymiser.begin(lambda: GROUPS)
    ahead = anonymiser._ahead
    with pytest.raises(KeyboardInterrupt), closing(anonymiser):
        anonymiser.scrub_groups(GROUPS, interrupt)
    assert ahead is not None
    assert not ahead.is_alive()
    assert given == []


def test_one_process_that_scrubs_alone_reads_nothing_ahead() -> None:
    anonymiser = Anonymiser(AnonymiseSection(workers=1))
    anonymiser.begin(pytest.fail)
    anonymiser.wait_until_read()
    anonymiser.close()


def test_no_records_give_an_empty_result_without_a_model_being_loaded() -> None:
    assert Anonymiser(AnonymiseSection()).scrub([]).recall == {}


def test_a_missing_model_is_told_before_any_record_is_read() -> None:
    with pytest.raises(ModelError):
        Anonymiser(AnonymiseSection(spacy_model="no_such_model"))


@pytest.mark.slow
def test_importing_the_pipeline_loads_neither_spacy_nor_presidio_nor_torch() -> None:
    heavy = "{'spacy', 'presidio_analyzer', 'presidio_anonymizer', 'torch', 'regex'}"
    code = f"import sys, privacy.anonymise.pipeline; sys.exit(len({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


SCRIPT = """
from pathlib import Path
from privacy.anonymise.pipeline import Anonymiser
from shared.config.anonymise import AnonymiseSection
from shared.records.types import RawRecord
with Path(__file__).with_name("runs").open("a") as runs:
    runs.write("once ")
anonymiser = Anonymiser(AnonymiseSection(workers=2))
anonymiser.begin()
scrubbed = anonymiser.scrub([RawRecord({"text": "Dr. Okafor called."})])
assert "Okafor" not in scrubbed.records[0].fields["text"]
"""


@pytest.mark.slow
def test_a_script_without_a_main_guard_runs_once_and_the_worker_that_scrubs_for_it_imports_no_torch(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPROFILEIMPORTTIME": "1"}  # the worker inherits both
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, (tmp_path / "runs").read_text()) == (0, "once "), done.stderr[-2000:]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "spacy" in imported
    assert not {"torch.nn", "transformers.utils"} & imported  # that spaCy asks for "torch" itself, in vain, is listed too
