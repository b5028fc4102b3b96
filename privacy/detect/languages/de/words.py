"""Load the German word lists from installed packages, and tell compounds and derived nouns from names."""

from collections.abc import Collection
from functools import lru_cache
from typing import TYPE_CHECKING

from privacy.detect.languages.stop_words import stop_words

if TYPE_CHECKING:
    from privacy.detect.words import WordLists

# Occurrences of a word that weigh as much as one locale that lists it as a name; 50 is the median count of the list.
PER_COUNT = 50
NEVER_NAMES_LINE = (
    "januar jänner februar feber märz april mai juni juli august september oktober november dezember montag dienstag "
    "mittwoch donnerstag freitag samstag sonnabend sonntag der die das dem den des ein eine er sie es wir ihr ich du man "
    "und oder aber an am im in zu zur zum bei von vom mit ohne auf aus für ist war sind herr herrn frau fräulein dame tag "
    "tage woche monat jahr uhr art ort zeit haus stadt land hand kopf herz euro mark franken nummer seite vater mutter sohn "
    "tochter bruder schwester kind eltern arzt ärztin patient patientin kunde kundin klient mandant gruß essen hof halle "
    "regen weiden grüße liebe lieber hallo danke bitte guten morgen abend mittag nacht sommer winter herbst frühling"
)
NEVER_NAMES = frozenset(NEVER_NAMES_LINE.split())
# Words that begin no name and end no address, in addition to spaCy's stop words.
POLITE_WORDS = "bitte danke hallo liebe lieber sehr geehrte geehrter guten tag gruß grüße herzliche freundliche ok ja nein"
# Letters that join the parts of a compound.
JOINTS = ("", "s", "n", "en", "es", "er")
# Ends of family names and towns: a compound that ends so is more likely a name than a noun.
NAME_TAILS = (
    "bach", "berg", "berger", "burg", "burger", "mann", "meier", "meyer", "maier", "mayer", "hoff", "hof", "hofer", "stein",
    "steiner", "tal", "thal", "kopf", "baum", "feld", "felder", "wald", "hausen", "hauser", "dorf", "dorfer",
    "horst", "beck",
    "huber", "kamp", "busch", "brink", "rode", "roth", "furt", "stadt", "stätter", "egger", "moser", "mer", "hardt", "hart",
    "brecht", "bert", "wig", "helm", "gard", "hild", "linde", "see", "au", "ach", "ingen", "ing", "inger", "lein", "müller",
    "schmidt", "schulte", "schulze", "bauer", "weber", "acker", "winkel", "reuter", "reiter", "vogel", "bein", "hagen",
)  # fmt: skip
# Ends of abstract nouns, with their plurals; what stands before them must be long enough to be a stem.
NOUN_TAILS = (
    "ung", "ungen", "heit", "heiten", "keit", "keiten", "schaft", "schaften", "tion", "tionen", "tät", "täten", "ismus",
    "nummer", "nummern", "versicherung", "abteilung", "bericht", "schein", "verfahren", "therapie", "klinik", "station",
    "untersuchung", "rechnung", "vertrag", "konto", "kasse", "stelle", "amt", "ierung", "ologie", "itis", "ose", "pathie",
)  # fmt: skip
SHORTEST_PART, SHORTEST_COMPOUND, SHORTEST_STEM = 4, 9, 5


def function_words() -> frozenset[str]:
    """Return the function words ("der", "mit") and polite words, in small letters."""
    return stop_words("de") | frozenset(POLITE_WORDS.split())


def load_words() -> "WordLists":
    """Return the word lists, which takes about two seconds.

    Raises
    ------
    ModelError
        A package is not installed as expected.
    """
    from privacy.detect.languages.lexicon import counts
    from privacy.detect.words import collect

    listed = counts("de")

    @lru_cache(maxsize=100_000)
    def is_spelt(word: str) -> bool:
        key = word.lower()
        return key in listed or is_compound(key, listed) or _is_abstract(key)

    return collect(listed, is_spelt, NEVER_NAMES | function_words(), PER_COUNT, "de_")


def is_compound(word: str, listed: Collection[str]) -> bool:
    """Return whether a word in small letters is made of two or three listed words, and does not end as a name does.

    Parameters
    ----------
    word
        The word.
    listed
        Listed words, in small letters.
    """
    return len(word) >= SHORTEST_COMPOUND and not word.endswith(NAME_TAILS) and _splits(word, listed, 2)


def _splits(word: str, listed: Collection[str], cuts: int) -> bool:
    """Return whether a word can be cut at most ``cuts`` times into listed words with joints between them."""
    for at in range(len(word) - SHORTEST_PART, SHORTEST_PART - 1, -1):
        head, tail = word[:at], word[at:]
        first = any(
            head.endswith(j) and len(head) - len(j) >= SHORTEST_PART and head[: len(head) - len(j)] in listed for j in JOINTS
        )
        if first and (tail in listed or (cuts > 1 and _splits(tail, listed, cuts - 1))):
            return True
    return False


def _is_abstract(word: str) -> bool:
    return any(word.endswith(tail) and len(word) - len(tail) >= SHORTEST_STEM for tail in NOUN_TAILS)
