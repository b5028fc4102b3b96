"""What a language must bring, and what a second one, made up here with parts of its own, must not lose."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args

import pytest
import spacy
from presidio_analyzer.predefined_recognizers import DeTaxIdRecognizer
from pydantic import ValidationError

from privacy.anonymise.pipeline import Anonymiser
from privacy.anonymise.scrubber import Clean, LanguageScrubber
from privacy.detect.languages.base import (
    MAY_BE_EMPTY,
    PLANTED_KINDS,
    AddressWords,
    DateForms,
    Language,
    PlantedForms,
    SurrogateForms,
)
from privacy.detect.languages.en.language import ENGLISH
from privacy.detect.languages.identify import identifier
from privacy.detect.languages.registry import AUTO, LANGUAGES, language
from privacy.detect.recognisers.registry import RECOGNISERS, pattern_recognisers
from privacy.detect.words import WordLists
from privacy.leakage.planted import Planter
from shared.config.anonymise import AnonymiseSection
from shared.errors import ModelError
from shared.records.types import RawRecord

EVERYWHERE = {
    "CREDIT_CARD": "4111 1111 1111 1111",
    "EMAIL_ADDRESS": "jutta.berg@beispiel.de",
    "IBAN_CODE": "DE89 3704 0044 0532 0130 00",
    "IP_ADDRESS": "192.168.17.4",
    "MAC_ADDRESS": "00:1B:44:11:3A:B7",
    "PHONE_NUMBER": "+49 30 901820",
    "URL": "https://www.beispiel.de/kunde",
    "UUID": "123e4567-e89b-12d3-a456-426614174000",
    "CRYPTO": "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "STREET_ADDRESS": "Hauptstraße 12a",
    "USERNAME": "@jutta_b",
    "ID_NUMBER": "HH-TK 482",
}


def words() -> WordLists:
    common = {"ruft", "bitte", "unter", "an", "heute"}
    return WordLists(
        common.__contains__, dict.fromkeys(common, 9), frozenset(), 1, {"jutta": 20, "berg": 20}, frozenset({"bonn"})
    )


GERMAN = Language(
    code="de",
    models={},
    installed=(),
    national=lambda: (DeTaxIdRecognizer,),
    rules={"PERSON": (("title", r"\b(?:Herr|Frau)[ ]\K\p{Lu}\p{Ll}+", 0.6),)},
    digit_rules={"AGE": (("age", r"\b\d{1,3}[ ]Jahre[ ]alt", 0.5),)},
    titles="(?:herr|frau)",
    calendar=r"\d",
    units="(?:mg|jahre)",
    login=r"benutzer[ ](?P<word>\w+)",
    addresses=AddressWords(never="ich der", ends="und in"),
    function_words=lambda: frozenset({"und", "der"}),
    harmless_words=frozenset({"ich"}),
    always_capital=re.compile("montag"),
    words=words,
    surrogates=SurrogateForms(("de_DE",), ("Däne",)),
    dates=DateForms(("%d.%m.%Y",), ("%d. %B",), tuple("abcdefg"), ("ter",)),
    planted=PlantedForms(
        "de_DE",
        dict.fromkeys(PLANTED_KINDS, ("Bitte: {}.",)),
        ("Weg",),
        "{name} {street} {number}, {postcode} {town}",
        ("0%## #####",),
        ("%d.%m.%Y",),
    ),
)


@pytest.fixture
def german(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Register a second language, and return the folder of its model, which knows one unused word."""
    monkeypatch.setitem(LANGUAGES, "de", GERMAN)  # type: ignore[arg-type]
    nlp = spacy.blank("de")
    nlp.add_pipe("entity_ruler", name="ner").add_patterns([{"label": "PER", "pattern": "niemand"}])  # type: ignore[attr-defined]
    nlp.to_disk(tmp_path / "model")
    identifier.cache_clear()
    yield tmp_path / "model"
    identifier.cache_clear()


def section(level: str) -> AnonymiseSection:
    return AnonymiseSection(level=level, language="de")


def parts(whole: Any, prefix: str = "") -> Mapping[str, Any]:
    """Every part of a language by name, with the language that lacks it."""
    found = {}
    for field in fields(whole):
        value = getattr(whole, field.name)
        if is_dataclass(value):
            inner = parts(value)
            found |= {f"{field.name}.{name}": replace(whole, **{field.name: lacking}) for name, lacking in inner.items()}
        if field.name not in MAY_BE_EMPTY:
            found[field.name] = replace(whole, **{field.name: None})
    return found


@pytest.mark.parametrize("part", parts(ENGLISH))
def test_a_language_that_lacks_a_part_is_refused_in_one_sentence_before_a_record_is_read(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LANGUAGES, "en", parts(ENGLISH)[part])  # type: ignore[arg-type]
    for start in (lambda: language("en"), lambda: Anonymiser(AnonymiseSection())):
        with pytest.raises(ModelError, match=rf"^anonymise\.language = 'en': lacks {part}.*, so nothing is read in it; .*$"):
            start()


def test_a_kind_of_planted_value_without_a_sentence_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = replace(ENGLISH.planted, frames={**ENGLISH.planted.frames, "IBAN_CODE": ()})
    monkeypatch.setitem(LANGUAGES, "en", replace(ENGLISH, planted=fewer))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"lacks planted\.frames\.IBAN_CODE, so"):
        language("en")


def test_a_config_names_a_language_of_the_registry_and_no_other() -> None:
    assert set(get_args(AnonymiseSection.model_fields["language"].annotation)) == {*LANGUAGES, AUTO}
    assert all(language(code).code == code for code in LANGUAGES)
    with pytest.raises(ValidationError):
        AnonymiseSection.model_validate({"language": "it"})
    with pytest.raises(ModelError, match=r"^anonymise\.language = 'it': has no rules; set one of de, en, es, fr$"):
        language("it")


@pytest.mark.parametrize("level", ["fast", "standard", "strict"])
def test_a_second_language_loses_no_identifier_that_has_the_same_form_everywhere(german: Path, level: str) -> None:
    records = [RawRecord({"text": f"bitte {value} heute"}, None, at) for at, value in enumerate(EVERYWHERE.values())]
    scrubber = LanguageScrubber(section(level), german)
    for kind, value, done in zip(EVERYWHERE, EVERYWHERE.values(), scrubber.examine(records), strict=True):
        assert isinstance(done, Clean)
        assert kind in done.entities
        assert not any(word in done.record.fields["text"] for word in value.split())


def test_a_second_language_has_its_own_rules_and_none_of_english(german: Path) -> None:
    texts = ["Frau Quandrin ruft an", "bitte 44 Jahre alt", "bitte Mrs quandrin", "bitte 44 years old"]
    records = [RawRecord({"text": text}) for text in texts]
    done = LanguageScrubber(section("fast"), german).examine(records)
    german_title, german_age, *english = [one.entities for one in done]  # type: ignore[union-attr]
    assert (german_title, german_age) == ({"PERSON": 1}, {"AGE": 1})
    assert english == [{}, {}]
    own = {type(recogniser) for recogniser in pattern_recognisers(GERMAN)}
    assert {*RECOGNISERS, DeTaxIdRecognizer} <= own
    assert not set(ENGLISH.national()) & own


def test_word_lists_planted_values_and_surrogates_are_those_of_the_language(german: Path) -> None:
    surrogate = AnonymiseSection(operator="surrogate", language="de")
    record = RawRecord({"text": "Frau Jutta ruft heute an, 03.05.1984"})
    (done,) = LanguageScrubber(surrogate, german, b"k" * 32).examine([record])
    assert isinstance(done, Clean)
    text = done.record.fields["text"]
    assert re.fullmatch(r"Frau [A-ZÄÖÜ][\w-]+ ruft heute an, \d\d\.\d\d\.\d{4}", text)
    assert not {"Jutta", "03.05.1984"} & set(text.split())
    planted = Planter(GERMAN, 0).plant([RawRecord({"text": "Ja."})], len(PLANTED_KINDS))
    assert {record.spans["text"][0].label for record in planted} == PLANTED_KINDS
    assert all(record.fields["text"].startswith("Ja. Bitte: ") for record in planted)


@pytest.mark.usefixtures("german")
def test_a_model_of_another_language_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="a model of language 'en', and anonymise"):
        LanguageScrubber(section("fast"), folder)
