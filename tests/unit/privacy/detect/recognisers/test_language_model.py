"""What a language model takes for a firm or a place is a person after a title."""

import pytest
from presidio_analyzer import RecognizerResult
from presidio_analyzer.nlp_engine import NlpArtifacts
from presidio_analyzer.predefined_recognizers import SpacyRecognizer
from spacy.tokens import Doc
from spacy.vocab import Vocab

from privacy.detect.languages.en.language import ENGLISH
from privacy.detect.recognisers.language_model import LanguageModel


def found(monkeypatch: pytest.MonkeyPatch, text: str, label: str) -> list[tuple[str, str]]:
    """Return what is left of a model's finding that covers a whole text: the types, and the words."""
    monkeypatch.setattr(SpacyRecognizer, "analyze", lambda *_: [RecognizerResult(label, 0, len(text), 0.25)])
    artifacts = NlpArtifacts([], Doc(Vocab(), [text]), [], [], None, "en")
    results = LanguageModel(ENGLISH, [label]).analyze(text, [label], artifacts)
    return [(result.entity_type, text[result.start : result.end]) for result in results]


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
    assert found(monkeypatch, text, label) == [expected]


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
    assert [words for _, words in found(monkeypatch, text, "PERSON")] == expected
