"""Tell names from common words, by Faker's lists of names and places and by the words of one language.

Faker's lists (MIT) are collected from public statistics of first names, family names and towns. None comes from a breach,
and all lie in an installed package, so nothing is downloaded.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from faker import Factory
from faker.config import AVAILABLE_LOCALES

# A word of the language counts as a name only if this many locales list it as one, and if it is as often a name as a word:
# one locale weighs as much as ``per_count`` occurrences.
LOCALES = 2
# A word of the language that fewer locales than this list as a name is ambiguous.
MANY_LOCALES = 10
# A capitalised word that no dictionary has is common only if it occurs ``per_count / RARE`` times or more; a rarer one is
# mostly a name ("Stavanger").
RARE = 10
# Names of the attributes of Faker's providers that hold names of persons, and names of places.
PERSON_LISTS = re.compile(r"(?:first|last|middle|given|family)_?name|^names?$|patronym")
GIVEN_LISTS = re.compile(r"first_?name|given_?name")
PLACE_LISTS = re.compile(
    r"^(?:city_names?|cities|towns?|town_names|villages?|states?|counties|countries|regions|provinces|departments|"
    r"districts|municipalities|prefectures|island_names|english_country_names|territor\w+)$"
)
WORDS_OF_A_PLACE = 4  # at most
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
# Locales that Faker has deprecated; it warns when they are used.
OLD = frozenset({"fr_QC"})


@dataclass(frozen=True)
class WordLists:
    """Casefolded words of a language, names and places.

    Parameters
    ----------
    is_spelt
        Returns whether a dictionary of the language has a word, given with its capitals.
    counts
        How often a word of the language occurs in a large body of text.
    never_names
        Words that are never a name by themselves.
    per_count
        The number of occurrences that weigh as much as one locale that lists the word as a name.
    locales
        How many locales list a word as a name.
    places
        Names of places; their words are separated by single spaces.
    given
        First names of the countries of a language whose counts do not tell names from words; empty for English. They are
        always names with a capital, and a word with a capital after one is a family name.
    """

    is_spelt: Callable[[str], bool]
    counts: Mapping[str, int]
    never_names: frozenset[str]
    per_count: int
    locales: Mapping[str, int]
    places: frozenset[str]
    given: frozenset[str] = frozenset()

    def is_name(self, word: str) -> bool:
        """Return whether a casefolded word is listed as a name, and is more likely a name than a word of the language."""
        if word not in self.locales or word in self.never_names or len(word) < 2:
            return False
        if word in self.given:
            return True
        if not self.is_spelt(word):
            return len(word) > 2
        locales = self.locales[word]
        return locales >= LOCALES and locales * self.per_count >= self.counts.get(word, 0)

    def is_ambiguous(self, word: str) -> bool:
        """Return whether a casefolded word is a word of the language and only a few locales list it as a name."""
        return (self.is_spelt(word) or bool(self.given)) and self.locales.get(word, 0) < MANY_LOCALES

    def may_be_name(self, word: str) -> bool:
        """Return whether a casefolded word is listed as a name and is not a frequent word of the language."""
        return word in self.locales and self.counts.get(word, 0) <= self.per_count and word not in self.never_names

    def is_common(self, word: str, capital: bool = False) -> bool:
        """Return whether a casefolded word is a word of the language without a capital, and is not likely a name.

        With ``capital``, the text has the word with a capital; a rare word that no dictionary has is then mostly a name.
        """
        if word in self.never_names:
            return True
        if self.is_name(word):
            return False
        if self.is_spelt(word):
            return True
        often = not capital or self.counts.get(word, 0) * RARE >= self.per_count
        listed = word in self.places or word in self.locales
        return often and word in self.counts and not self.is_proper(word) and not listed

    def is_possible_name(self, word: str) -> bool:
        """Return whether a word, given with its capitals, is on a list of names or places, or is no common word."""
        key = word.casefold()
        return key in self.locales or key in self.places or (word[:1].isupper() and not self.is_common(key, capital=True))

    def may_follow_name(self, word: str, capital: bool = False) -> bool:
        """Return whether a casefolded word right after a name belongs to it: it is listed as a name and not too frequent."""
        if word in self.never_names:
            return False
        count, locales = self.counts.get(word, 0), self.locales.get(word, 0)
        if self.given and capital:
            return locales > 0 or count <= self.per_count
        if capital and locales and count <= self.per_count:
            return True  # a rare word that some list has: "Shannon Finch"
        return locales >= LOCALES and count <= 20 * self.per_count

    def is_proper(self, word: str) -> bool:
        """Return whether the language has a casefolded word only with a capital, as English has "Trondheim" and "Danish"."""
        return word not in self.never_names and not self.is_spelt(word) and self.is_spelt(word.capitalize())


def collect(
    counts: Mapping[str, int],
    is_spelt: Callable[[str], bool],
    never_names: frozenset[str],
    per_count: int,
    own: str = "",
) -> WordLists:
    """Return the word lists of a language with Faker's names and places of all locales, which takes about a second.

    Parameters
    ----------
    counts, is_spelt, never_names, per_count
        The words of the language, as ``WordLists`` describes them.
    own
        The start of the names of the locales whose first names and places count even where they are words, such as "de_";
        empty for a language whose counts tell names from words.
    """
    locales: Counter[str] = Counter()
    places: Counter[str] = Counter()
    given: set[str] = set()
    home: set[str] = set()
    for provider in _providers("person"):
        if _is_own(provider, own):
            given.update(word for value in _values(provider, GIVEN_LISTS) for word in WORD.findall(value.casefold()))
        names = {word for value in _values(provider, PERSON_LISTS) for word in WORD.findall(value.casefold())}
        locales.update(names | {plain for name in names if (plain := without_accents(name)) != name})
    for provider in _providers("address"):
        towns = {" ".join(WORD.findall(value.casefold())) for value in _values(provider, PLACE_LISTS)}
        towns = {town for town in towns if len(town) > 2 and town.count(" ") < WORDS_OF_A_PLACE}
        places.update(towns)
        home.update(towns if _is_own(provider, own) else ())
    listed = {place for place, number in places.items() if place not in counts or number >= LOCALES} | home
    return WordLists(
        is_spelt,
        counts,
        never_names,
        per_count,
        locales,
        frozenset(listed - never_names if own else listed),
        frozenset(given - never_names),
    )


def _is_own(provider: object, own: str) -> bool:
    return bool(own) and type(provider).__module__.rpartition(".")[2].startswith(own)


def without_accents(word: str) -> str:
    """Return the word in plain letters, as many people type it."""
    if word.isascii():
        return word
    return "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))


def _providers(kind: str) -> Collection[object]:
    """Return Faker's providers of a kind, each once: a locale without its own provider uses that of another locale."""
    created = (
        Factory.create(locale, providers=[f"faker.providers.{kind}"]) for locale in sorted(set(AVAILABLE_LOCALES) - OLD)
    )
    return {type(generator.providers[0]): generator.providers[0] for generator in created}.values()


def _values(provider: object, wanted: re.Pattern[str]) -> Iterator[str]:
    """Yield the strings in those attributes of a provider whose names match ``wanted``."""
    for name in dir(provider):
        values = getattr(provider, name) if wanted.search(name) else None
        for value in values if isinstance(values, tuple | list | dict) else ():
            text = value[1] if isinstance(value, tuple) and len(value) > 1 else value
            if isinstance(text, str) and "{" not in text:
                yield text
