"""Return the entities that a spaCy model found, without titles and harmless times."""

import regex
from presidio_analyzer import RecognizerResult
from presidio_analyzer.nlp_engine import NlpArtifacts
from presidio_analyzer.predefined_recognizers import SpacyRecognizer

from privacy.detect.languages.base import Language
from privacy.detect.rules import FLAGS

NAMED = frozenset({"PERSON", "LOCATION", "ORGANIZATION"})


class LanguageModel(SpacyRecognizer):
    """Returns the model's entities, without titles of persons, and without times that identify nobody: "today", "daily".

    A place or a firm that is a title and one word ("Nurse Bell") is a person.
    """

    def __init__(self, language: Language, supported_entities: list[str]) -> None:
        super().__init__(supported_language=language.code, supported_entities=supported_entities)
        self._title = regex.compile(rf"{language.titles}\b\.?[ ]+(?=\p{{L}})", FLAGS)
        self._calendar = regex.compile(language.calendar, FLAGS)

    def analyze(self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts | None = None) -> list[RecognizerResult]:
        """Return the entities that the language model found, as our types."""
        results: list[RecognizerResult] = super().analyze(text, entities, nlp_artifacts)
        for result in results:
            title = self._title.match(text, result.start, result.end) if result.entity_type in NAMED else None
            if title and (result.entity_type == "PERSON" or " " not in text[title.end() : result.end].strip()):
                result.entity_type = "PERSON"
                result.start = title.end()  # "Mrs Adeyemi" and "Adeyemi" are one person, with one tag
        return [r for r in results if r.entity_type != "DATE_TIME" or self._calendar.search(text[r.start : r.end])]
