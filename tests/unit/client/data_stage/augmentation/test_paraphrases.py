from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fixture_types import Change, ConfigOf

from client.data_stage.augmentation.acceptance import Flaw, Verdict
from client.data_stage.augmentation.paraphrases import paraphrase
from client.data_stage.cache import Cache
from shared.config.run import RunConfig
from shared.records.types import Record

RECORDS = [Record({"text": text}, "yes") for text in ("one", "two", "bad", "two")]


class Pen:
    """Stands for the model and for the judge, and remembers what the model was shown."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.opened = 0

    def write(self, _: object, texts: Sequence[str], seed: int, count: int) -> Iterator[tuple[str, list[str | None]]]:
        self.opened += 1
        for text in texts:
            self.asked.append(text)
            yield text, [f"{text} in words {place}" for place in range(count)]


def verdicts(_: object, text: str, wordings: Sequence[str]) -> list[Verdict]:
    return [Verdict(Flaw.STRAYED) if text == "bad" else Verdict(None, wording) for wording in wordings]


@pytest.fixture
def pen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pen:
    found = Pen()
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    monkeypatch.setattr("client.data_stage.augmentation.writer.write", found.write)
    monkeypatch.setattr("shared.models.folders.locate", lambda _: SimpleNamespace(folder=folder, sha256="0" * 64))
    monkeypatch.setattr("client.data_stage.augmentation.acceptance.judge_of", lambda _: None)
    monkeypatch.setattr("client.data_stage.augmentation.acceptance.verdicts", verdicts)
    return found


@pytest.fixture
def config(config_of: ConfigOf) -> RunConfig:
    return config_of({"augmentation": {"views": 3, "paraphrases": 2, "paraphraser": "a-model"}})


def quietly(_: str, __: int) -> Callable[[int], None]:
    return lambda _: None


def test_each_text_is_written_once_and_what_was_kept_and_dropped_is_counted_by_record(pen: Pen, config: RunConfig) -> None:
    told: list[Any] = []

    def progress(step: str, total: int) -> Callable[[int], None]:
        told.append((step, total))
        return told.append

    (found,) = paraphrase(config, [RECORDS], [], progress)
    assert pen.asked == ["one", "two", "bad"]
    assert found.wordings == {
        "one": ["one in words 0", "one in words 1"],
        "two": ["two in words 0", "two in words 1"],
        "bad": [None, None],
    }
    assert found.counts == {"augmentation.paraphrases": 6, "augmentation.paraphrases.strayed": 2}
    assert told == [("paraphrase", 3), 1, 1, 1]
    assert "words" not in repr(found)


def test_an_instruction_is_asked_for_and_its_response_never(pen: Pen, config: RunConfig) -> None:
    paraphrase(config, [[Record({"instruction": "how so", "response": "like this"})]], [], quietly)
    assert pen.asked == ["how so"]


@pytest.mark.parametrize("key", [None, b"k" * 32], ids=["plain", "encrypted"])
def test_what_the_cache_has_opens_no_model_and_what_is_gone_is_forgotten(
    pen: Pen, config: RunConfig, tmp_path: Path, key: bytes | None
) -> None:
    cache = Cache(tmp_path / "cache", key)
    first = paraphrase(config, [RECORDS[:2]], [cache], quietly)
    assert paraphrase(config, [RECORDS[:2]], [cache], quietly) == first
    assert (pen.asked, pen.opened) == (["one", "two"], 1)
    both = paraphrase(config, [RECORDS[1:3]], [cache], quietly)[0]
    assert pen.asked == ["one", "two", "bad"]
    assert set(both.wordings) == {"two", "bad"}
    (path,) = cache.folder.iterdir()
    assert (b"two in words" in path.read_bytes()) is (key is None)
    assert b"one in words" not in path.read_bytes()
    before = len(path.read_bytes())
    paraphrase(config, [RECORDS[1:2]], [cache], quietly)
    assert len(path.read_bytes()) < before
    assert len(pen.asked) == 3


def test_a_text_of_two_sites_is_written_once_and_kept_by_both(pen: Pen, config: RunConfig, tmp_path: Path) -> None:
    caches = [Cache(tmp_path / name) for name in ("north", "east")]
    north, east = paraphrase(config, [RECORDS[:2], RECORDS[1:3]], caches, quietly)
    assert pen.asked == ["one", "two", "bad"]
    assert (set(north.wordings), set(east.wordings)) == ({"one", "two"}, {"two", "bad"})
    assert paraphrase(config, [RECORDS[:2], RECORDS[1:3]], caches, quietly) == [north, east]
    assert pen.opened == 1


def test_another_seed_count_or_model_is_written_anew(pen: Pen, config: RunConfig, change: Change, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    for changes in ({}, {"run.seed": 9}, {"augmentation.paraphrases": 1}, {"anonymise.level": "strict"}):
        paraphrase(change(config, changes), [RECORDS[:1]], [cache], quietly)
    (tmp_path / "model" / "config.json").write_text("{ }")
    paraphrase(config, [RECORDS[:1]], [cache], quietly)
    assert len(pen.asked) == pen.opened == 5


def test_an_interrupted_set_up_goes_on_where_it_was(
    pen: Pen, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.data_stage.augmentation.paraphrases.SAVE_EVERY", 1)
    cache = Cache(tmp_path / "cache")

    def breaks(step: str, total: int) -> Callable[[int], None]:
        def advance(_: int) -> None:
            if len(pen.asked) == 2:
                raise KeyboardInterrupt

        return advance

    with pytest.raises(KeyboardInterrupt):
        paraphrase(config, [RECORDS], [cache], breaks)
    paraphrase(config, [RECORDS], [cache], quietly)
    assert pen.asked == ["one", "two", "two", "bad"]


def test_a_site_without_a_model_goes_on_and_says_so(pen: Pen, config: RunConfig, change: Change) -> None:
    (found,) = paraphrase(change(config, {"augmentation.paraphraser": None}), [RECORDS], [], quietly)
    assert found.counts == {"augmentation.paraphrases": 0, "augmentation.paraphrases.without_model": 4}
    assert not found.wordings
    (off,) = paraphrase(change(config, {"augmentation.paraphrases": 0}), [RECORDS], [], quietly)
    assert not off.counts
    assert pen.opened == 0
