"""Add a second entity recogniser: a spaCy model, or a token classification model of transformers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from privacy.detect.analyser import IGNORED, Analyser, Failed, load_spacy, our_type, own_labels
from privacy.detect.entity_reader import read_entities
from privacy.detect.findings import Finding
from privacy.detect.spacy_models import is_transformer
from shared.errors import ModelError

# Below the scores of the first recogniser, so that the first recogniser's type wins.
SCORE = 0.2


class Detector(Protocol):
    """Finds personal data in texts; ``labels`` are the types that it may give."""

    labels: frozenset[str]

    def detect(self, texts: Sequence[str]) -> list[tuple[Finding, ...]]:
        """Return the findings in each text, in order."""
        ...


def load_detector(folder: Path) -> Detector:
    """Load the recogniser from the folder of its model; nothing is downloaded, and no code of the model runs.

    Raises
    ------
    ModelError
        The folder holds no usable model.
    """
    return TransformerDetector(folder) if is_transformer(folder) else SpacyDetector(folder)


class SpacyDetector:
    """Finds the entities of a spaCy model, as our types."""

    def __init__(self, folder: Path) -> None:
        self._nlp = load_spacy(folder)
        self._types = {label: our_type(label) for label in own_labels(self._nlp)}
        self.labels = frozenset(self._types.values())

    def detect(self, texts: Sequence[str]) -> list[tuple[Finding, ...]]:
        """Return the findings in each text, in order."""
        return [
            tuple(
                Finding(self._types[entity.label_], entity.start_char, entity.end_char, SCORE)
                for entity in document.ents
                if entity.label_ in self._types
            )
            for document in read_entities(self._nlp, texts, self._nlp.batch_size)
        ]


class TransformerDetector:
    """Finds the entities of a token classification model; Presidio's recogniser reads a long text in overlapping pieces."""

    def __init__(self, folder: Path) -> None:
        # "B-PER" and "I-PER" are one class; "O" marks what is no entity.
        names = {name[2:] if name[1:2] == "-" else name for name in _classes(folder)} - {"O"}
        types = {name: our_type(name) for name in names if name.upper() not in IGNORED}
        self.labels = frozenset(types.values())
        # torch and transformers take seconds to import, and most sites use neither here.
        from presidio_analyzer.predefined_recognizers.ner import HuggingFaceNerRecognizer

        try:
            self._recogniser = HuggingFaceNerRecognizer(
                model_name=str(folder), label_mapping=types, threshold=0.0, aggregation_strategy="simple", device="cpu"
            )
        except Exception as error:
            raise ModelError(
                f"{folder}: not a token classification model that transformers can load ({type(error).__name__}); set "
                "anonymise.second_model to another folder"
            ) from None

    def detect(self, texts: Sequence[str]) -> list[tuple[Finding, ...]]:
        """Return the findings in each text, in order."""
        entities = sorted(self.labels)
        return [
            tuple(Finding(r.entity_type, r.start, r.end, SCORE) for r in self._recogniser.analyze(text, entities))
            for text in texts
        ]


class United:
    """Joins the findings of the first analyser and of a second recogniser; a text fails if either fails on it."""

    def __init__(self, first: Analyser, second: Detector) -> None:
        self._first, self._second = first, second
        self.labels = first.labels | second.labels
        self.detect_patterns, self.without_harmless = first.detect_patterns, first.without_harmless

    def detect(self, texts: Sequence[str]) -> list[tuple[Finding, ...] | Failed]:
        """Return the findings of both in each text, in order; they may overlap."""
        return [
            found if isinstance(found, Failed) else self._with_second(text, found)
            for text, found in zip(texts, self._first.detect(texts), strict=True)
        ]

    def _with_second(self, text: str, found: tuple[Finding, ...]) -> tuple[Finding, ...] | Failed:
        try:
            return (*found, *self._second.detect([text])[0])
        except Exception as error:
            return Failed(type(error).__name__)


def _classes(folder: Path) -> list[str]:
    """Return the names of a token classification model's classes, from its own config.

    Raises
    ------
    ModelError
        The config names no classes, or asks for code of the model to be run.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        classes = list(map(str, config["id2label"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise ModelError(
            f"{folder}: its config.json names no classes; set anonymise.second_model to a model that has"
        ) from None
    if "auto_map" in config:
        raise ModelError(f"{folder}: the model brings code of its own, which is never run; set another second_model")
    return classes
