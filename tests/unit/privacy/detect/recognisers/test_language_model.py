"""What a language model takes for a firm or a place is a person after a title."""

import pytest
import spacy
from presidio_analyzer import RecognizerResult
from presidio_analyzer.nlp_engine import NlpArtifacts
from presidio_analyzer.predefined_recognizers import SpacyRecognizer

from privacy.detect.languages.en.language import ENGLISH
from privacy.detect.recognisers.language_model import LanguageModel


@pytest.mark.parametrize(
    ("text", "label", "expected"),
    [
        ("Nurse Bell", "ORGANIZATION", ("PERSON", "Bell")),
        ("Sister Okafor", "LOCATION", ("PERSON", "Okafor")),
        ("Dr Hart Group", "ORGANIZATION", ("ORGANIZATION", "Dr Hart Group")),
        ("Mrs Ada Bell", "PERSON", ("PERSON", "Ada Bell")),
    ],
)
def test_a_title_and_one_word_are_a_person(
    text: str, label: str, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [RecognizerResult(label, 0, len(text), 0.25)]
    monkeypatch.setattr(SpacyRecognizer, "analyze", lambda *_: found)
    artifacts = NlpArtifacts([], spacy.blank("en")(text), [], [], None, "en")
    (result,) = LanguageModel(ENGLISH, [label]).analyze(text, [label], artifacts)
    assert (result.entity_type, text[result.start : result.end]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\ufffc" * 10, []),
        ("Mrs " + "\ufffc" * 10, []),
        ("Anna " + "\ufffc" * 10 + " Berg", ["Anna ", " Berg"]),
    ],
)
def test_a_masked_tag_is_no_finding_and_the_rest_of_the_entity_is(
    text: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SpacyRecognizer, "analyze", lambda *_: [RecognizerResult("PERSON", 0, len(text), 0.25)])
    artifacts = NlpArtifacts([], spacy.blank("en")(text), [], [], None, "en")
    found = LanguageModel(ENGLISH, ["PERSON"]).analyze(text, ["PERSON"], artifacts)
    assert [text[result.start : result.end] for result in found] == expected
