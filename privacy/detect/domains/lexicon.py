"""Tell what is known of one word: by the terms of some domains, by a language, and by its lists of words and names."""

import regex

from privacy.detect.domains.terms import Terms
from privacy.detect.languages.base import Language
from privacy.detect.rules import FLAGS
from privacy.detect.words import LOCALES, WordLists


class Lexicon:
    """Knows which words are of the domains, which are common, and which are names.

    A ``key`` is a word in the form of ``terms.plain``, and a ``word`` is casefolded. Without word lists, no word is spelt
    and none is a name.

    Parameters
    ----------
    terms
        The words and phrases of the domains.
    language
        The language of the texts.
    lists
        Its word lists, if the level uses any.
    """

    def __init__(self, terms: Terms, language: Language, lists: WordLists | None) -> None:
        self.terms = terms
        self._lists = lists
        self._function_words = language.function_words()
        self._titled = regex.compile(rf"\b{language.titles}\.?[ ]*\Z", FLAGS)

    def is_titled(self, text: str, start: int) -> bool:
        """Return whether a title such as "Dr" stands right before a place in a text."""
        return self._titled.search(text, max(0, start - 12), start) is not None

    def is_of_domain(self, key: str) -> bool:
        """Return whether a word is no name in the domains."""
        return key in self.terms.words

    def is_function_word(self, word: str) -> bool:
        """Return whether a word is one such as "the" or "of"."""
        return word in self._function_words

    def is_common(self, word: str, capital: bool = False) -> bool:
        """Return whether a word is a frequent one of the language; ``capital`` says that the text has it with a capital."""
        return len(word) < 2 or word in self._function_words or bool(self._lists and self._lists.is_common(word, capital))

    def is_spelt(self, word: str) -> bool:
        """Return whether a dictionary of the language has a word."""
        return self._lists is not None and self._lists.is_spelt(word)

    def is_name(self, word: str) -> bool:
        """Return whether a word is more likely the name of a person than a word of the language."""
        return self._lists is not None and self._lists.is_name(word)

    def is_ever_name(self, word: str) -> bool:
        """Return whether a word is a name of persons in any country."""
        return self._lists is not None and word in self._lists.locales

    def is_place(self, name: str) -> bool:
        """Return whether one or more words with single spaces between them are the name of a place."""
        return self._lists is not None and name in self._lists.places

    def is_listed(self, word: str) -> bool:
        """Return whether a word is a name of persons in several countries, or of a place."""
        return self._lists is not None and (self._lists.locales.get(word, 0) >= LOCALES or word in self._lists.places)
