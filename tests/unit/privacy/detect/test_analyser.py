import json
import socket
from pathlib import Path
from typing import Never

import pytest
import spacy.cli
from presidio_analyzer import RecognizerResult

from privacy.anonymise.scrubber import Clean, LanguageScrubber
from privacy.detect.analyser import Analyser, Failed, LoadedSpacy, _batches
from privacy.detect.findings import Finding
from privacy.detect.languages.en.language import ENGLISH
from privacy.detect.spacy_models import locate
from shared.config.anonymise import AnonymiseSection
from shared.errors import ModelError
from shared.records.types import RawRecord


def refuse(*_: object, **__: object) -> Never:
    raise AssertionError("this must not be called")


def test_no_socket_is_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    record = RawRecord({"text": "jo@example.co.uk or https://example.org"})
    (done,) = LanguageScrubber(AnonymiseSection(), folder).examine([record])
    assert isinstance(done, Clean)
    assert done.entities == {"EMAIL_ADDRESS": 1, "URL": 1}


@pytest.mark.parametrize("model", ["en_core_web_nothing", "en-core-web-lg", "./no/such/folder", "json", "../..", "a b"])
def test_a_missing_model_is_one_sentence_and_never_a_download(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spacy.cli, "download", refuse)
    with pytest.raises(ModelError) as caught:
        locate(model)
    assert "\n" not in str(caught.value)
    assert model in str(caught.value)


def test_a_folder_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.cfg").write_text("nonsense")
    with pytest.raises(ModelError, match="not a spaCy model"):
        Analyser(locate(str(tmp_path)), ENGLISH, 8)


def test_a_model_without_an_entity_recogniser_is_refused(tmp_path: Path) -> None:
    spacy.blank("en").to_disk(tmp_path)
    with pytest.raises(ModelError, match="no entity recogniser"):
        Analyser(locate(str(tmp_path)), ENGLISH, 8)


def test_an_installed_model_is_found_without_running_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "en_planted_model"
    data = package / "en_planted-1.0"
    data.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('ran')")
    (package / "meta.json").write_text(json.dumps({"lang": "en", "name": "planted", "version": "1.0"}))
    (data / "config.cfg").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert locate("en-planted-model") == data.resolve()


def test_one_failing_text_costs_only_itself(scrubber: LanguageScrubber, monkeypatch: pytest.MonkeyPatch) -> None:
    analyser = scrubber._analyser
    whole = analyser._ner.analyze

    def analyze(text: str, *rest: object, **named: object) -> object:
        if "poison" in text.lower():  # small letters are read with capitals put back
            raise ValueError(text)
        return whole(text, *rest, **named)

    monkeypatch.setattr(analyser._ner, "analyze", analyze)
    good, bad, fine = analyser.detect(["Anna Berg in Oslo", "poison", "ok"])
    assert good
    assert bad == Failed("ValueError")
    assert fine == ()


def test_a_name_that_only_the_model_finds_goes_beside_a_literal_tag(
    scrubber: LanguageScrubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raw records may hold the tags of an earlier, partial scrubbing; they must not switch the language model off."""
    analyser = scrubber._analyser

    def analyze(text: str, *_: object, **__: object) -> object:
        words = (text.find(word) for word in ("Hope", "Producer"))
        return [RecognizerResult("PERSON", at, at + 4, 0.25) for at in words if at >= 0]

    def guessed(text: str) -> set[str]:
        return {text[f.start : f.start + 4] for f in analyser.detect([text])[0] if isinstance(f, Finding)}

    monkeypatch.setattr(analyser._ner, "analyze", analyze)
    tag = scrubber._replacer.mask("<PERSON_1>")
    assert "Hope" not in guessed("Nobody saw it yet.")
    assert "Hope" in guessed(f"Today {tag} saw Hope and left.")
    assert "Prod" not in guessed(f"Today {tag} saw the Producer and left.")


def test_a_slow_text_counts_as_failed_because_presidio_may_have_skipped_a_rule(
    scrubber: LanguageScrubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("privacy.detect.analyser.REGEX_TIMEOUT_SECONDS", 0.0)
    assert scrubber._analyser.detect(["hello"]) == [Failed("TimeoutError")]


def test_batches_keep_order_and_respect_both_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("privacy.detect.analyser.BATCH_CHARS", 5)
    assert list(_batches(["aa", "bb", "cc", "dddddddd", "e"], 2)) == [["aa", "bb"], ["cc"], ["dddddddd"], ["e"]]


def test_a_label_that_only_another_model_knows_is_replaced_under_its_own_name() -> None:
    nlp = spacy.blank("en")
    recogniser = nlp.add_pipe("ner")
    for label in ("PATIENT-1", "MONEY", "PER"):
        recogniser.add_label(label)  # type: ignore[attr-defined]
    assert set(LoadedSpacy(nlp, "en").get_supported_entities()) == {"PATIENT", "PERSON"}
