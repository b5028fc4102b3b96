"""Load the French word lists from installed packages."""

import re
from typing import TYPE_CHECKING

from privacy.detect.languages.stop_words import stop_words

if TYPE_CHECKING:
    from privacy.detect.words import WordLists

# Occurrences of a word in subtitles that weigh as much as one locale that lists it as a name.
PER_COUNT = 800
NEVER_NAMES_LINE = (
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre lundi mardi mercredi jeudi "
    "vendredi samedi dimanche le la les un une des du de et ou mais je tu il elle on nous vous ils elles mon ma mes son sa "
    "ses notre votre leur ce cette ces en dans pour par avec sans sur est sont a ont été fait monsieur madame mademoiselle "
    "docteur maître bonjour merci cordialement cher chère salut oui non pas rue place ville pays jour mois an année heure "
    "main tête père mère frère sœur fils fille enfant médecin patient patiente client cliente dossier numéro compte"
)
NEVER_NAMES = frozenset(NEVER_NAMES_LINE.split())
POLITE_WORDS = "bonjour bonsoir merci salut cher chère cordialement svp veuillez madame monsieur oui non ok"
# A short word without its vowel, before an apostrophe: "l'hôpital", "qu'elle".
ELIDED = re.compile(r"(?:[ldjmtsnc]|qu|jusqu|lorsqu|puisqu|quoiqu|aujourd)'")


def function_words() -> frozenset[str]:
    """Return the function words ("le", "avec") and polite words, in small letters."""
    return stop_words("fr") | frozenset(POLITE_WORDS.split())


def load_words() -> "WordLists":
    """Return the word lists, which takes about a second.

    Raises
    ------
    ModelError
        A package is not installed as expected.
    """
    from privacy.detect.languages.lexicon import counts
    from privacy.detect.words import collect

    listed = counts("fr")

    def is_spelt(word: str) -> bool:
        key = word.lower()
        elided = ELIDED.match(key)
        rest = key[elided.end() :] if elided else key
        return rest in listed or (rest.endswith(("s", "x")) and rest[:-1] in listed) or key == "aujourd'hui"

    return collect(listed, is_spelt, NEVER_NAMES | function_words(), PER_COUNT, "fr_")
