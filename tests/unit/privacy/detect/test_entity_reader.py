from pathlib import Path

import pytest
import spacy
from spacy.language import Language as Pipeline
from spacy.tokens import Doc

from privacy.detect.analyser import load_spacy
from privacy.detect.entity_reader import read_entities

TEXTS = [
    "Anna Berg moved from Oslo to New York in May 2019.",
    "",
    "ok",
    "The Bank of Scotland paid Mr. Tanaka, Dr. Okafor and the Red Cross 400 euros on Tuesday.",
    " \n ",
    "Nothing to see here.",
] * 3


@pytest.fixture(scope="module")
def nlp(folder: Path) -> Pipeline:
    return load_spacy(folder)


def entities(docs: list[Doc]) -> list[list[tuple[str, int, int]]]:
    return [[(entity.label_, entity.start_char, entity.end_char) for entity in doc.ents] for doc in docs]


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_entities_are_those_that_spacy_finds(nlp: Pipeline, batch_size: int) -> None:
    found = entities(list(read_entities(nlp, TEXTS, batch_size)))
    assert found == entities(list(nlp.pipe(TEXTS)))
    assert any(found)


def test_a_text_that_is_too_long_for_the_model_is_refused(nlp: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nlp, "max_length", 10)
    with pytest.raises(ValueError, match="E088"):
        list(read_entities(nlp, ["a text of more than ten letters"], 8))


@pytest.mark.parametrize("part", ["entity_ruler", "beam_ner"])
def test_a_model_with_another_part_is_read_by_spacy(part: str) -> None:
    nlp: Pipeline = spacy.blank("en")
    nlp.add_pipe(part)
    nlp.initialize()
    if part == "entity_ruler":
        nlp.get_pipe(part).add_patterns([{"label": "PERSON", "pattern": "Anna"}])  # type: ignore[attr-defined]
    assert entities(list(read_entities(nlp, TEXTS, 4))) == entities(list(nlp.pipe(TEXTS)))


def test_without_a_model_the_texts_have_no_entities() -> None:
    docs = list(read_entities(spacy.blank("en"), TEXTS, 4))
    assert [doc.text for doc in docs] == TEXTS
    assert not any(doc.ents for doc in docs)
