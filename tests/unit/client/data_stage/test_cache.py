import importlib.metadata
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import privacy.anonymise
import privacy.detect
import privacy.leakage
import privacy.replace
import shared.records
from client.data_stage.cache import Cache
from client.data_stage.preparation import scrub
from privacy.anonymise.pipeline import Anonymiser
from privacy.anonymise.scrubbed import Quarantined, Scrubbed
from privacy.detect.unfit import Reason
from privacy.leakage.recall import Recall
from shared.config.anonymise import AnonymiseSection
from shared.errors import DataError
from shared.records.types import RawRecord, Record, Span

NAME = "Zebediah Quince"
KEY = b"k" * 32
SECTION = AnonymiseSection()
RAW = [
    RawRecord({"text": f"{NAME} called"}, "yes", 1, {"text": (Span("PERSON", 0, 15),)}),
    RawRecord({"text": "hello"}, "no", 2),
]
DONE = Scrubbed(
    (Record({"text": "<PERSON_1> called"}, "yes", 1, tags=(Span("WHO", 0, 10),)),),
    (Quarantined(2, Reason.TOO_LONG, "ValueError"),),
    {"PERSON": 1},
    {"PERSON": Recall(1, 1)},
    3,
)


@pytest.fixture(params=[None, KEY], ids=["plain", "encrypted"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", request.param)


encrypted = pytest.mark.parametrize("cache", [KEY], ids=["encrypted"], indirect=True)


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a small folder in place of the language model, which no test here uses."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_bytes(b"1")
    monkeypatch.setattr("client.data_stage.cache.locate_models", lambda _: {"en": folder})
    return folder


def test_what_was_put_is_got_whole_and_the_files_hold_no_raw_text(cache: Cache) -> None:
    name = cache.name(RAW, SECTION)
    assert cache.get(name) is None
    cache.put(name, DONE)
    assert cache.get(name) == DONE
    (path,) = cache.folder.iterdir()
    assert NAME.encode() not in path.read_bytes()
    assert (b"<PERSON_1>" in path.read_bytes()) is (cache.key is None)
    assert path.stat().st_mode & 0o077 == 0


def test_other_records_settings_model_or_key_have_another_name(cache: Cache, model: Path) -> None:
    names = [
        cache.name(RAW, SECTION),
        cache.name(RAW[:1], SECTION),
        cache.name([replace(RAW[0], label="no"), RAW[1]], SECTION),
        cache.name([replace(RAW[0], tags=(Span("WHO", 0, 4),)), RAW[1]], SECTION),
        cache.name([replace(RAW[0], spans={}), RAW[1]], SECTION),
        cache.name(RAW, AnonymiseSection(operator="redact")),
        replace(cache, key=b"x" * 32).name(RAW, SECTION),
    ]
    (model / "weights").write_bytes(b"2")
    names.append(cache.name(RAW, SECTION))
    assert len(set(names)) == len(names)


@encrypted
def test_how_many_processes_worked_makes_no_other_name(cache: Cache) -> None:
    assert cache.name(RAW, SECTION) == cache.name(RAW, AnonymiseSection(workers=3, batch_size=7))


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:-3] + b"abc"])
def test_a_damaged_entry_is_no_entry(cache: Cache, damage: object) -> None:
    name = cache.name(RAW, SECTION)
    cache.put(name, DONE)
    (path,) = cache.folder.iterdir()
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    assert cache.get(name) is None


def test_an_encrypted_entry_opens_under_its_own_key_and_name_alone(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", KEY)
    cache.put("a" * 64, DONE)
    assert replace(cache, key=b"x" * 32).get("a" * 64) is None
    (tmp_path / "cache" / f"{'a' * 64}.sealed").rename(tmp_path / "cache" / f"{'b' * 64}.sealed")
    assert cache.get("b" * 64) is None


def test_a_folder_that_cannot_be_written_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"the cache cannot be written.*turn data.cache off"):
        Cache(tmp_path / "file").put("a" * 64, DONE)


def test_only_what_the_caches_lack_is_scrubbed(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[list[RawRecord]]] = []

    def scrub_groups(_: Anonymiser, groups: list[list[RawRecord]], __: object) -> list[Scrubbed]:
        asked.append(groups)
        return [replace(DONE, unmeasured=len(group)) for group in groups]

    monkeypatch.setattr(Anonymiser, "scrub_groups", scrub_groups)
    anonymiser = Anonymiser(SECTION)
    groups, done = [RAW[:1], RAW], 0

    def progress(more: int) -> None:
        nonlocal done
        done += more

    first = scrub(anonymiser, groups[:1], [cache], progress)
    second = scrub(anonymiser, groups, [cache, cache], progress)
    assert asked == [[RAW[:1]], [RAW]]
    assert second == [*first, replace(DONE, unmeasured=2)]
    assert scrub(anonymiser, groups, [cache, cache]) == second
    assert asked[2] == []
    assert done == 1


@encrypted
@pytest.mark.parametrize("library", ["presidio-analyzer", "spacy", "phonenumbers"])
def test_another_version_of_a_library_that_finds_names_or_numbers_has_another_name(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    """A verdict of the gate is kept under such a name too, and holds for the version that was measured only."""
    before = cache.name(RAW, SECTION)
    monkeypatch.setattr(
        "client.data_stage.cache.version", lambda name: "99.0" if name == library else importlib.metadata.version(name)
    )
    assert cache.name(RAW, SECTION) != before


@encrypted
def test_other_rules_of_any_room_of_the_anonymiser_have_another_name(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cache.name(RAW, SECTION)
    for room in (privacy.anonymise, privacy.detect, privacy.leakage, privacy.replace, shared.records):
        copy = tmp_path / room.__name__
        shutil.copytree(room.__path__[0], copy)
        monkeypatch.setattr(room, "__path__", [str(copy)])
        assert cache.name(RAW, SECTION) == before
        (copy / "further_rules.py").write_text("")
        assert cache.name(RAW, SECTION) != before
        (copy / "further_rules.py").unlink()
