"""Find personal data with Presidio's recognisers, ours and one spaCy model, in batches and without network access."""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import spacy
from presidio_analyzer import PatternRecognizer
from presidio_analyzer.nlp_engine import NerModelConfiguration, NlpArtifacts, SpacyNlpEngine
from presidio_analyzer.pattern_recognizer import REGEX_TIMEOUT_SECONDS
from spacy.language import Language as Pipeline
from spacy.pipeline import Tok2Vec
from spacy.tokens import Doc

from privacy.detect.addresses import AddressForms, spread
from privacy.detect.casing import Casing, casing, restore, titled
from privacy.detect.domains.harmless import Harmless
from privacy.detect.domains.terms import Terms
from privacy.detect.entity_reader import read_entities
from privacy.detect.findings import Finding
from privacy.detect.languages.base import Language
from privacy.detect.levels import LEVELS, Level
from privacy.detect.recognisers.base import RuleRecogniser
from privacy.detect.recognisers.language_model import LanguageModel
from privacy.detect.recognisers.needs import may_match
from privacy.detect.recognisers.registry import pattern_recognisers
from privacy.detect.sweeps import Sweeper
from privacy.detect.words import WORD
from shared.errors import ModelError

# spaCy's labels -> our types. Presidio leaves out ORG by default, so it misses names that the model takes for organisations.
# A label of another model that is in neither LABELS nor IGNORED is replaced under its own name.
LABELS = {
    "PERSON": "PERSON", "PER": "PERSON", "GPE": "LOCATION", "LOC": "LOCATION", "FAC": "LOCATION",
    "ORG": "ORGANIZATION", "NORP": "NRP", "DATE": "DATE_TIME", "TIME": "DATE_TIME",
}  # fmt: skip
IGNORED = frozenset(
    {"CARDINAL", "EVENT", "LANGUAGE", "LAW", "MISC", "MONEY", "ORDINAL", "PERCENT", "PRODUCT", "QUANTITY", "WORK_OF_ART"}
)
# Only the entity recogniser runs. The parser may change an entity where it sees a sentence border; without it the
# recall on 795 labelled texts was the same, label by label, at twice the speed.
UNUSED = ("tagger", "morphologizer", "parser", "senter", "attribute_ruler", "lemmatizer", "trainable_lemmatizer")
# Types whose patterns rely on capital letters.
CAPITAL_TYPES = frozenset({"STREET_ADDRESS", "POSTCODE", "ORGANIZATION"})
# A line break within a paragraph, as in e-mail.
LINE_BREAK = re.compile(r"(?<!\n)\n(?!\n)")
# A masked tag shows that the text was scrubbed before. The model reads such a text differently, and would mark other common
# words in each reading. So a guess there counts only if a list has one of its words as a name.
TAGGED = re.compile("\ufffc{5}")
# spaCy's memory grows with the characters it reads at once.
BATCH_CHARS = 200_000


@dataclass(frozen=True)
class Failed:
    """A text that could not be analysed: the class of the exception only, since its message may quote the text."""

    error: str


class LoadedSpacy(SpacyNlpEngine):
    """Presidio's engine over a model that is already loaded; Presidio's own ``load`` would download a missing one."""

    def __init__(self, nlp: Pipeline, language: str) -> None:
        configuration = NerModelConfiguration(
            labels_to_ignore=sorted(IGNORED),
            model_to_presidio_entity_mapping={label: our_type(label) for label in own_labels(nlp)},
            # Where a pattern and the model mark the same characters, the pattern knows the type better and scores more.
            default_score=0.25,
        )
        super().__init__(ner_model_configuration=configuration)
        self.nlp: dict[str, Pipeline] = {language: nlp}  # type: ignore[assignment]  # it starts as None

    def read(self, texts: Sequence[str], batch_size: int) -> list[NlpArtifacts]:
        """Return the entities of each text, in order.

        Parameters
        ----------
        texts
            The texts.
        batch_size
            Number of texts that the model reads at once.
        """
        ((language, nlp),) = self.nlp.items()
        return [self._doc_to_nlp_artifact(doc, language) for doc in read_entities(nlp, texts, batch_size)]

    def _doc_to_nlp_artifact(self, doc: Doc, language: str) -> NlpArtifacts:
        """Return the entities only: lemmas and keywords serve context words, which we do not use, and take time."""
        entities, scores = self._get_updated_entities(self._get_entities(doc), self._get_scores_for_entities(doc))
        return NlpArtifacts(entities, doc, [], [], self, language, scores)


class Analyser:
    """Finds personal data in texts of one language.

    Parameters
    ----------
    folder
        The folder of a spaCy model with an entity recogniser; None if rules and lists work alone.
    language
        The language of the texts.
    batch_size
        Number of texts that the language model reads at once.
    level
        Which passes follow the language model and the patterns.
    terms
        Harmless words and phrases of the text's domains.

    Raises
    ------
    ModelError
        The folder holds no usable spaCy model, or one of another language.
    """

    def __init__(
        self,
        folder: Path | None,
        language: Language,
        batch_size: int,
        level: Level = LEVELS["fast"],
        terms: Terms | None = None,
    ) -> None:
        self._level = level
        self._lists = language.words() if level.word_lists else None
        self._sweeper = Sweeper(level, language, self._lists) if self._lists else None
        self._harmless = Harmless(terms, language, self._lists, bare_numbers=not level.numbers) if terms else None
        self._language = language
        self._function_words = language.function_words()
        self._addresses = AddressForms.of(language.addresses)
        self._batch_size = batch_size
        nlp = spacy.blank(language.code) if folder is None else load_spacy(folder)
        if nlp.lang not in (language.code, "xx"):  # spaCy's code for models of several languages
            raise ModelError(
                f"{folder}: a model of language '{nlp.lang}', and anonymise.language is '{language.code}'; set "
                "anonymise.spacy_model to one of that language"
            )
        self._reader = LoadedSpacy(nlp, language.code)
        self._patterns = pattern_recognisers(language)
        self._ner = LanguageModel(language, self._reader.get_supported_entities()) if folder else None
        rules = [*self._patterns, *([self._ner] if self._ner else [])]
        self.labels = frozenset(label for rule in rules for label in rule.supported_entities)

    def detect(self, texts: Sequence[str]) -> list[tuple[Finding, ...] | Failed]:
        """Return the findings in each text, in order; they may overlap. A text that fails stops no other."""
        found = self._detect(texts)
        return [
            each if isinstance(each, Failed) else self.without_harmless(text, each)
            for text, each in zip(texts, found, strict=True)
        ]

    def without_harmless(self, text: str, findings: Sequence[Finding], sure: Sequence[Finding] = ()) -> tuple[Finding, ...]:
        """Return the findings in a text without those on harmless terms and numbers, as `Harmless.filtered` does."""
        return tuple(findings) if self._harmless is None else self._harmless.filtered(text, findings, sure)

    def _detect(self, texts: Sequence[str]) -> list[tuple[Finding, ...] | Failed]:
        if self._lists is None or self._sweeper is None:
            return self._read(texts)
        lists, sweeper = self._lists, self._sweeper
        restored = [
            None if casing(text) is Casing.USUAL else restore(text, lists, self._language.always_capital) for text in texts
        ]
        read = self._read([cased or text for text, cased in zip(texts, restored, strict=True)])
        return [
            found if isinstance(found, Failed) else self._complete(text, cased, found, sweeper)
            for text, cased, found in zip(texts, restored, read, strict=True)
        ]

    def _read(self, texts: Sequence[str]) -> list[tuple[Finding, ...] | Failed]:
        return [found for batch in _batches(texts, self._batch_size) for found in self._detect_batch(batch)]

    def _complete(
        self, text: str, restored: str | None, found: tuple[Finding, ...], sweeper: Sweeper
    ) -> tuple[Finding, ...] | Failed:
        """Add the findings of the other passes to ``found``, which was read in ``restored`` if given, else in ``text``."""
        try:
            swept = (*found, *sweeper.sweep(text), *self._across_lines(text))
            if restored is None:
                return swept
            swept = (*swept, *self._match(text), *self._detect_capitals(titled(text, self._function_words)))
            return (*swept, *spread(restored, swept, self._addresses))
        except Exception as error:
            return Failed(type(error).__name__)

    def detect_patterns(self, text: str) -> tuple[Finding, ...]:
        """Return the findings of the pattern rules only, without the language model.

        Raises
        ------
        TimeoutError
            A rule may have been cut off.
        """
        return self.without_harmless(text, (*self._match(text), *self._across_lines(text)))

    def _across_lines(self, text: str) -> tuple[Finding, ...]:
        """Return the findings of the rules in the text with its lines joined; none if the level does not join lines."""
        if not self._level.line_breaks or "\n" not in text:
            return ()
        return self._match(LINE_BREAK.sub(" ", text))

    def _match(self, text: str) -> tuple[Finding, ...]:
        started = time.monotonic()
        found = [f for rule in self._patterns for f in _found(rule, text)]
        _refuse_timeout(started)
        return tuple(found)

    def _detect_capitals(self, text: str) -> list[Finding]:
        """Return the findings of the rules that need capitals."""
        rules = [rule for rule in self._patterns if not CAPITAL_TYPES.isdisjoint(rule.supported_entities)]
        return [f for rule in rules for f in _found(rule, text)]

    def _detect_batch(self, texts: Sequence[str]) -> Iterator[tuple[Finding, ...] | Failed]:
        """Read a batch at once; where that fails, read its texts one by one."""
        try:
            read = self._reader.read(texts, self._batch_size)
        except Exception:  # of any kind, because one bad text must not fail the whole batch
            yield from (self._detect_one(text, None) for text in texts)
        else:
            yield from map(self._detect_one, texts, read)

    def _detect_one(self, text: str, artifacts: NlpArtifacts | None) -> tuple[Finding, ...] | Failed:
        """Return the findings in one text, or the class of the exception."""
        started = time.monotonic()
        try:
            if artifacts is None:
                (artifacts,) = self._reader.read([text], self._batch_size)
            found = (*self._match(text), *self._guess(text, artifacts))
            _refuse_timeout(started)
        except Exception as error:
            return Failed(type(error).__name__)
        return found

    def _guess(self, text: str, artifacts: NlpArtifacts) -> list[Finding]:
        """Return what the language model finds; beside tags of ours, no common words, if the level has word lists."""
        if self._ner is None:
            return []
        results = self._ner.analyze(text, self._ner.supported_entities, artifacts)
        found = [Finding(r.entity_type, r.start, r.end, r.score) for r in results]
        if self._lists is None or self._level.read_again or not TAGGED.search(text):
            return found
        words = self._lists
        return [f for f in found if any(words.is_possible_name(m[0]) for m in WORD.finditer(text, f.start, f.end))]


def _found(rule: PatternRecognizer, text: str) -> Iterable[Finding]:
    """Return what one recogniser finds in a text."""
    if isinstance(rule, RuleRecogniser):
        return rule.find(text)
    if not may_match(rule, text):
        return ()
    return [Finding(r.entity_type, r.start, r.end, r.score) for r in rule.analyze(text, rule.supported_entities)]


def load_spacy(folder: Path) -> Pipeline:
    """Load the entity recogniser of a spaCy model from its folder, with the shared token layers that feed it.

    Raises
    ------
    ModelError
        The folder holds no usable spaCy model.
    """
    try:
        nlp = spacy.load(folder, exclude=UNUSED)
        for name, layer in nlp.components:
            if isinstance(layer, Tok2Vec) and "ner" not in layer.listening_components:
                nlp.remove_pipe(name)
        has_ner = "ner" in nlp.pipe_names
    except Exception as error:
        reason = type(error).__name__
        raise ModelError(
            f"{folder}: not a spaCy model that this version can load ({reason}); set anonymise.spacy_model"
        ) from None
    if not has_ner:
        raise ModelError(f"{folder}: this spaCy model has no entity recogniser; set anonymise.spacy_model to one that has")
    return nlp


def own_labels(nlp: Pipeline) -> set[str]:
    """Return the labels of a spaCy model's entity recogniser that are not ignored."""
    return set(nlp.pipe_labels.get("ner", ())) - IGNORED


def our_type(label: str) -> str:
    """Return our type for a model's label: that of ``LABELS``, or else the label itself in capitals and underscores."""
    return LABELS.get(label.upper()) or re.sub(r"[^A-Z]+", "_", label.upper()).strip("_") or "OTHER"


def _refuse_timeout(started: float) -> None:
    """Refuse a text that took as long as Presidio's limit, after which it skips a rule without saying so."""
    if time.monotonic() - started >= REGEX_TIMEOUT_SECONDS:
        raise TimeoutError


def _batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """Cut texts into batches of at most ``size`` texts and about ``BATCH_CHARS`` characters, at least one text each."""
    batch: list[str] = []
    chars = 0
    for text in texts:
        if batch and (len(batch) == size or chars + len(text) > BATCH_CHARS):
            yield batch
            batch, chars = [], 0
        batch.append(text)
        chars += len(text)
    if batch:
        yield batch
