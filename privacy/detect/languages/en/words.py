"""Load the English word lists from installed packages; nothing is downloaded.

Hunspell's dictionary (SCOWL) knows which words need a capital. The frequency of a word comes from SymSpell's list (MIT),
counted in Google's books. The stop words are spaCy's (MIT).
"""

from functools import lru_cache
from typing import TYPE_CHECKING

from privacy.detect.languages.packages import package_file
from shared.errors import ModelError

if TYPE_CHECKING:
    from privacy.detect.words import WordLists

# Occurrences of a word in books that weigh as much as one locale that lists it as a name.
PER_COUNT = 10_000_000
# Words that the lists would take for names, although they are never a name by themselves.
NEVER_NAMES_LINE = (
    "january february march april may june july august september october november december monday tuesday wednesday "
    "thursday friday saturday sunday an the will can has her his our you your she they was are not but all any mrs lol omg "
    "btw pls plz thx asap idk imo imho fyi lmao tbh brb gonna wanna gotta dunno dont cant wont didnt im ive ill ur ya"
)
NEVER_NAMES = frozenset(NEVER_NAMES_LINE.split())
# Words that begin no name and end no address, in addition to spaCy's stop words.
POLITE_WORDS = "please thanks thank pls thx hi hello dear ok okay send need want let know got yes"


def function_words() -> frozenset[str]:
    """Return the function words ("the", "with") and polite words, in small letters."""
    from spacy.lang.en.stop_words import STOP_WORDS  # spaCy takes a second to import

    return frozenset(STOP_WORDS) | frozenset(POLITE_WORDS.split())


def load_words() -> "WordLists":
    """Return the word lists, which takes about a second.

    Raises
    ------
    ModelError
        A package is not installed as expected.
    """
    from hunspell import Hunspell  # only the process that reads the texts needs the lists

    from privacy.detect.words import collect

    dictionary = Hunspell("en_US")

    @lru_cache(2**15)  # Hunspell is asked several times for each word of a text
    def is_spelt(word: str) -> bool:
        try:
            word.encode("latin-1")  # the dictionary's own letters; Hunspell fails on others
        except UnicodeEncodeError:
            return False
        return bool(dictionary.spell(word))

    return collect(_counts(), is_spelt, NEVER_NAMES, PER_COUNT)


def _counts() -> dict[str, int]:
    """Return English words with their counts; the list is read as data, without importing its package."""
    try:
        lines = package_file("symspellpy", "frequency_dictionary_en_82_765.txt").read_text(encoding="utf-8-sig").splitlines()
        return {word: int(count) for word, count in (line.split() for line in lines)}
    except (OSError, ValueError):
        raise ModelError("symspellpy: its English word list is missing; install symspellpy again (pip)") from None
