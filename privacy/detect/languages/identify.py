"""Tell the language of a text from its function words, and from py3langid's model of 140 languages (bundled, BSD)."""

import re
from collections.abc import Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING, Final

from privacy.detect.languages.registry import complete

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

WORD = re.compile(r"[^\W\d_]+")
# Addresses, numbers and tags say nothing about a language.
NOT_WORDS = re.compile(r"\S*[\d@/<>\ufffc]\S*")
# A text with fewer words, such as a name or "OK", has no language that anybody could be sure of.
FEW = 5
# Fewest different function words that decide anything.
HITS = 2
# All languages with rules are in Latin letters; a text with more other letters than this, and than Latin ones, is in none.
LETTERS = 8
NOT_LATIN = re.compile(r"[^\W\d_\u0041-\u024f\u1e00-\u1eff]")
# Share of function words from which a text counts as one of a language, if no other language comes near.
USUAL: Final = 0.2
# How sure py3langid must be that a text is in another language, and below which share of the own function words.
DOUBTS: Final = ((0.9, 0.15), (0.99, 0.3))
SURE: Final = 0.9
UNKNOWN = ""


class Identifier:
    """Tells the language of texts; one text's answer depends on no other text.

    The thresholds were set on English texts of ten public collections.
    """

    @cached_property
    def _function_words(self) -> Mapping[str, frozenset[str]]:
        return {language.code: language.function_words() for language in complete()}

    @cached_property
    def _model(self) -> "LanguageIdentifier":
        from py3langid.langid import MODEL_FILE, LanguageIdentifier  # loading takes a second

        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def best(self, text: str) -> str:
        """Return the code of the language that fits a text best, even if none fits well."""
        return str(self._model.classify(text)[0])

    def is_foreign(self, text: str, code: str) -> bool:
        """Return whether a text is surely in another language than the one with a code.

        Parameters
        ----------
        text
            A normalised text.
        code
            ISO 639-1 code of a complete language.
        """
        words, shares = self._shares(text)
        own, other = shares[code], max((each for each in shares if each != code), key=shares.__getitem__, default=code)
        if self._hits(words, other) > HITS and shares[other] >= USUAL and own <= shares[other] / 2:
            return True
        if _is_other_script(text):
            return True
        if len(words) < FEW or own >= max(share for _, share in DOUBTS):
            return False
        language, probability = self._classified(words)
        return language != code and any(probability >= sure and own < share for sure, share in DOUBTS)

    def language_of(self, text: str) -> str:
        """Return the code of the language that a text is surely in, or ``UNKNOWN``.

        Parameters
        ----------
        text
            A normalised text.
        """
        words, shares = self._shares(text)
        first, second, *_ = sorted(shares.items(), key=lambda pair: (-pair[1], pair[0])) + [(UNKNOWN, 0.0)] * 2
        if self._hits(words, first[0]) >= HITS and first[1] >= USUAL and second[1] <= first[1] / 2:
            return first[0]
        language, probability = (UNKNOWN, 0.0) if _is_other_script(text) or not words else self._classified(words)
        agree = language == first[0] and first[1] >= USUAL
        return language if len(words) >= FEW and (agree or probability >= SURE) else UNKNOWN

    def _shares(self, text: str) -> tuple[list[str], dict[str, float]]:
        """Return the words of a text in small letters, and the share of them that are function words, by language."""
        words = [word.lower() for word in WORD.findall(NOT_WORDS.sub(" ", text))]
        total = max(1, len(words))
        return words, {code: sum(word in own for word in words) / total for code, own in self._function_words.items()}

    def _hits(self, words: list[str], code: str) -> int:
        """Return how many different function words of a language are among some words."""
        return len(self._function_words.get(code, frozenset()) & set(words))

    def _classified(self, words: list[str]) -> tuple[str, float]:
        language, probability = self._model.classify(" ".join(words))
        return str(language), float(probability)


def _is_other_script(text: str) -> bool:
    others = len(NOT_LATIN.findall(text))
    return others >= LETTERS and 2 * others > sum(map(str.isalpha, text))


@cache
def identifier() -> Identifier:
    """Return the one identifier of this process, because its model takes a second to load."""
    return Identifier()
