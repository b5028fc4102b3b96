"""Tell what is known of one word: by the terms of some domains, by a language, and by its lists of words and names."""

import re
from typing import NamedTuple

import regex

from privacy.detect.domains.kinds import FIRMS
from privacy.detect.domains.terms import Terms
from privacy.detect.languages.base import Language
from privacy.detect.rules import FLAGS
from privacy.detect.words import LOCALES, WordLists

# Beginnings of Latin and Greek compounds: "noncurrent", "intercostal", "hepatobiliary".
PREFIX = re.compile(
    r"(?:non|sub|inter|intra|extra|trans|retro|peri|para|endo|hyper|hypo|supra|infra|poly|hemi|semi|multi|anti|bio|neuro|cardio"
    r"|gastro|hepato|nephro|immuno|micro|macro|ultra|cyber|crypto)(?=\w{5})"
)
PLURAL = re.compile(r"(?<=\w{4})(?:ie)?s")


class Token(NamedTuple):
    """A word of a text: its form in our lists, and in small letters as the word lists of the language have it."""

    start: int
    end: int
    key: str
    word: str
    is_capital: bool
    is_word: bool


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
        """Return whether a title such as "Dr" stands right before the character ``start`` of a text."""
        return self._titled.search(text, max(0, start - 12), start) is not None

    def is_of_domain(self, key: str) -> bool:
        """Return whether a word is a word of the domains, or the plural or a compound of one, and so no name there."""
        return key in self.terms.words or (len(key) > 4 and self._is_derived(key))

    def is_eponym(self, key: str) -> bool:
        """Return whether a word names only things of the domains; an abbreviation is given in capitals."""
        return key in self.terms.eponyms

    def _is_derived(self, key: str) -> bool:
        """Return whether a word is the plural or a compound of a word of the domains, and no name."""
        plural = PLURAL.search(key, len(key) - 3)
        singular = key
        if plural and plural.end() == len(key):
            singular = key[: plural.start()] + ("y" if plural[0] == "ies" else "")
        prefix = PREFIX.match(singular)
        rest = singular[prefix.end() :] if prefix else ""
        is_known = (singular != key and singular in self.terms.words) or (
            len(rest) > 4 and (rest in self.terms.words or self.is_spelt(rest))
        )
        return is_known and key not in FIRMS and not self.is_ever_name(key) and not self.is_place(key)

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
