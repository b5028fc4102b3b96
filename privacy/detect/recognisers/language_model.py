"""Return the entities that a spaCy model found, without titles, harmless times and masked tags."""

from collections.abc import Iterator

import regex
from presidio_analyzer import RecognizerResult
from presidio_analyzer.nlp_engine import NlpArtifacts
from presidio_analyzer.predefined_recognizers import SpacyRecognizer

from privacy.detect.languages.base import Language
from privacy.detect.rules import FLAGS

NAMED = frozenset({"PERSON", "LOCATION", "ORGANIZATION"})
# What stands beside masked tags. Some models take a mask for a name, and a scrubbed text would never be free of findings.
BESIDE_TAGS = regex.compile("[^\ufffc]+")


class LanguageModel(SpacyRecognizer):
    """Returns the model's entities, without titles of persons, and without times that identify nobody: "today", "daily".

    A place or a firm that is a title and one word ("Nurse Bell") is a person. Of an entity that holds masked tags, the rest
    is returned.
    """

    def __init__(self, language: Language, supported_entities: list[str]) -> None:
        super().__init__(supported_language=language.code, supported_entities=supported_entities)
        self._title = regex.compile(rf"{language.titles}\b\.?[ ]+(?=\p{{L}})", FLAGS)
        self._only_title = regex.compile(rf"\W*{language.titles}\b\W*", FLAGS)
        self._calendar = regex.compile(language.calendar, FLAGS)

    def analyze(self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts | None = None) -> list[RecognizerResult]:
        """Return the entities that the language model found, as our types."""
        found: list[RecognizerResult] = super().analyze(text, entities, nlp_artifacts)
        results = [part for result in found for part in self._beside_tags(text, result)]
        for result in results:
            title = self._title.match(text, result.start, result.end) if result.entity_type in NAMED else None
            if title and (result.entity_type == "PERSON" or " " not in text[title.end() : result.end].strip()):
                result.entity_type = "PERSON"
                result.start = title.end()  # "Mrs Adeyemi" and "Adeyemi" are one person, with one tag
        return [r for r in results if r.entity_type != "DATE_TIME" or self._calendar.search(text[r.start : r.end])]

    def _beside_tags(self, text: str, result: RecognizerResult) -> Iterator[RecognizerResult]:
        """Yield the parts of an entity that are no masked tag, and no title before one."""
        if "\ufffc" not in text[result.start : result.end]:
            yield result
            return
        for part in BESIDE_TAGS.finditer(text, result.start, result.end):
            if any(map(str.isalnum, part[0])) and not self._only_title.fullmatch(part[0]):
                yield RecognizerResult(result.entity_type, part.start(), part.end(), result.score)
