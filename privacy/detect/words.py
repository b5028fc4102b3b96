"""Word lists that tell a name from a word: Faker's names and places of all its locales, and common English words.

Faker's lists (MIT) are collected from public statistics of first names, family names and towns. Hunspell's English
dictionary (SCOWL) knows which words need a capital. How frequent an English word is comes from SymSpell's list (MIT),
counted in Google's books. None comes from a breach, and all lie in installed packages, so nothing is downloaded.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from faker import Factory
from faker.config import AVAILABLE_LOCALES
from hunspell import Hunspell

from shared.errors import ModelError

# A word that is in the English list too counts as a name when it is in the lists of at least so many locales, and
# as often a name as a word: locales for each 10 million counts in books.
LOCALES = 2
PER_COUNT = 10_000_000
MANY_LOCALES = 10
PERSON_LISTS = re.compile(r"(?:first|last|middle|given|family)_?name|^names?$|patronym")
PLACE_LISTS = re.compile(
    r"^(?:city_names?|cities|towns?|town_names|villages?|states?|counties|countries|regions|provinces|departments|"
    r"districts|municipalities|prefectures|island_names|english_country_names|territor\w+|districts)$"
)
WORDS_OF_A_PLACE = 4
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
# A locale that Faker warns of.
OLD = frozenset({"fr_QC"})
# In the English list with large counts or in Faker's lists, and never a name by themselves.
NEVER_NAMES_LINE = (
    "january february march april may june july august september october november december monday tuesday wednesday "
    "thursday friday saturday sunday an the will can has her his our you your she they was are not but all any mrs "
    "lol omg btw pls plz thx asap idk imo imho fyi lmao tbh brb gonna wanna gotta dunno dont cant wont didnt "
    "im ive ill ur ya"
)
NEVER_NAMES = frozenset(NEVER_NAMES_LINE.split())


@dataclass(frozen=True)
class WordLists:
    """Casefolded words: ``counts`` of English ones in books, ``locales`` that list a name, and places.

    A place of several words is one string with single spaces. ``spelling`` knows which words begin with a capital.
    """

    spelling: Hunspell
    counts: Mapping[str, int]
    locales: Mapping[str, int]
    places: frozenset[str]

    def is_name(self, word: str) -> bool:
        """Whether a casefolded word is listed as a name, and rather a name than an English word."""
        if word not in self.locales or word in NEVER_NAMES or len(word) < 2:
            return False
        if not self._is_spelt(word):
            return len(word) > 2
        locales = self.locales[word]
        return locales >= LOCALES and locales * PER_COUNT >= self.counts.get(word, 0)

    def is_ambiguous(self, word: str) -> bool:
        """Whether a casefolded word is an English one that only a few locales list as a name."""
        return self._is_spelt(word) and self.locales.get(word, 0) < MANY_LOCALES

    def may_be_name(self, word: str) -> bool:
        """Whether a casefolded word is listed as a name and is no frequent English word."""
        return word in self.locales and self.counts.get(word, 0) <= PER_COUNT and word not in NEVER_NAMES

    def is_common(self, word: str) -> bool:
        """Whether a casefolded word is an English word that needs no capital, and not rather a name."""
        if word in NEVER_NAMES:
            return True
        if self.is_name(word):
            return False
        if self._is_spelt(word):
            return True
        return word in self.counts and not self.is_proper(word) and word not in self.places and word not in self.locales

    def may_follow_name(self, word: str) -> bool:
        """Whether a casefolded word right after a name belongs to it: it is listed as one, and not too frequent."""
        often = self.counts.get(word, 0) > 20 * PER_COUNT
        return self.locales.get(word, 0) >= LOCALES and not often and word not in NEVER_NAMES

    def is_proper(self, word: str) -> bool:
        """Whether a casefolded word is English only with a capital, as "Trondheim" and "Danish" are."""
        return word not in NEVER_NAMES and not self._is_spelt(word) and self._is_spelt(word.capitalize())

    def _is_spelt(self, word: str) -> bool:
        try:
            word.encode("latin-1")  # the dictionary's own letters; Hunspell fails on others
        except UnicodeEncodeError:
            return False
        return bool(self.spelling.spell(word))


def load_words() -> WordLists:
    """Collect the lists from the installed packages, which takes about a second.

    Raises:
        ModelError: a package is not installed as expected.
    """
    counts = _counts()
    locales: Counter[str] = Counter()
    places: Counter[str] = Counter()
    for provider in _providers("person"):
        names = {word for value in _values(provider, PERSON_LISTS) for word in WORD.findall(value.casefold())}
        locales.update(names | {plain for name in names if (plain := without_accents(name)) != name})
    for provider in _providers("address"):
        towns = {" ".join(WORD.findall(value.casefold())) for value in _values(provider, PLACE_LISTS)}
        places.update(town for town in towns if len(town) > 2 and town.count(" ") < WORDS_OF_A_PLACE)
    return WordLists(
        Hunspell("en_US"), counts, locales, frozenset(p for p, n in places.items() if p not in counts or n >= LOCALES)
    )


def without_accents(word: str) -> str:
    """The word in plain letters, as many people type it."""
    return "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))


def _providers(kind: str) -> Collection[object]:
    """Faker's providers of a kind; a locale that lacks one gets another locale's, which counts once."""
    created = (
        Factory.create(locale, providers=[f"faker.providers.{kind}"]) for locale in sorted(set(AVAILABLE_LOCALES) - OLD)
    )
    return {type(generator.providers[0]): generator.providers[0] for generator in created}.values()


def _values(provider: object, wanted: re.Pattern[str]) -> Iterator[str]:
    """The strings in those of a provider's lists whose names are wanted."""
    for name in dir(provider):
        values = getattr(provider, name) if wanted.search(name) else None
        for value in values if isinstance(values, tuple | list | dict) else ():
            text = value[1] if isinstance(value, tuple) and len(value) > 1 else value
            if isinstance(text, str) and "{" not in text:
                yield text


def _counts() -> dict[str, int]:
    """English words with their counts; read as data, without importing the package."""
    spec = find_spec("symspellpy")
    folder = Path(next(iter(spec.submodule_search_locations or ()))) if spec else Path()
    try:
        lines = (folder / "frequency_dictionary_en_82_765.txt").read_text(encoding="utf-8-sig").splitlines()
        return {word: int(count) for word, count in (line.split() for line in lines)}
    except (OSError, ValueError):
        raise ModelError("symspellpy: its English word list is missing; install symspellpy again (pip)") from None
