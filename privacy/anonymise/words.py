"""Word lists that tell a name from a word: Faker's names and places of all its locales, and common English words.

Faker's lists (MIT) are collected from public statistics of first names, family names and towns; the English words with
their counts are SymSpell's (MIT), SCOWL's spelling list with the counts of Google's books. Neither comes from a breach,
and both lie in installed packages, so nothing is downloaded.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from faker import Factory
from faker.config import AVAILABLE_LOCALES

from shared.errors import ModelError

# A word that is in the English list too counts as a name when it is in the lists of at least so many locales, and
# as often a name as a word: locales for each 10 million counts in books.
LOCALES = 2
PER_COUNT = 10_000_000
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
NEVER_NAMES = frozenset(
    "january february march april may june july august september october november december monday tuesday wednesday "
    "thursday friday saturday sunday an the will can has her his our you your she they was are not but all any mrs".split()
)


@dataclass(frozen=True)
class WordLists:
    """Casefolded words: ``counts`` of English ones in books, ``locales`` that list a name, and places.

    A place of several words is one string with single spaces.
    """

    counts: Mapping[str, int]
    locales: Mapping[str, int]
    places: frozenset[str]

    @cached_property
    def names(self) -> frozenset[str]:
        """Words that are rather names than English words."""
        return frozenset(word for word in self.locales if self._is_rather_a_name(word))

    @cached_property
    def common(self) -> frozenset[str]:
        """English words that are not rather names."""
        return frozenset(self.counts) - self.names

    def is_common(self, word: str) -> bool:
        """Whether a casefolded word, or what it derives from, is an English word and not rather a name."""
        if word in self.common:
            return True
        if word in self.names:
            return False
        return any(stem in self.common for stem in _stems(word))

    def _is_rather_a_name(self, word: str) -> bool:
        if len(word) < 2 or word in NEVER_NAMES:
            return False
        if word not in self.counts:
            return len(word) > 2
        locales = self.locales[word]
        return locales >= LOCALES and locales * PER_COUNT >= self.counts[word]


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
    return WordLists(counts, locales, frozenset(p for p, n in places.items() if p not in counts or n >= LOCALES))


def without_accents(word: str) -> str:
    """The word in plain letters, as many people type it."""
    return "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))


def _providers(kind: str) -> Collection[object]:
    """Faker's providers of a kind; a locale that lacks one gets another locale's, which counts once."""
    created = (Factory.create(locale, providers=[f"faker.providers.{kind}"]) for locale in sorted(set(AVAILABLE_LOCALES) - OLD))
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


def _stems(word: str) -> Iterator[str]:
    """What an inflected or compound English word may come from."""
    for ending, replacements in (("s", ("",)), ("'s", ("",)), ("es", ("",)), ("ed", ("", "e")), ("ing", ("", "e"))):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            yield from (word[: -len(ending)] + replacement for replacement in replacements)
    if word.startswith("un") and len(word) > 5:
        yield word[2:]
