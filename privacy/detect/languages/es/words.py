"""Load the Spanish word lists from installed packages, and tell inflected words from names."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from privacy.detect.languages.stop_words import stop_words

if TYPE_CHECKING:
    from privacy.detect.words import WordLists

# Occurrences of a word in subtitles that weigh as much as one locale that lists it as a name.
PER_COUNT = 800
NEVER_NAMES_LINE = (
    "enero febrero marzo abril mayo junio julio agosto septiembre setiembre octubre noviembre diciembre lunes martes "
    "miércoles jueves viernes sábado domingo el la los las un una unos unas y o pero que yo tú él ella nosotros ustedes mi "
    "mis su sus tu tus en de del al con sin por para sobre es son fue ha han señor señora señorita don doña doctor doctora "
    "hola gracias saludos estimado estimada querido querida sí no calle plaza ciudad país día mes año hora mano cabeza "
    "padre madre hermano hermana hijo hija niño niña médico paciente cliente expediente número cuenta"
)
NEVER_NAMES = frozenset(NEVER_NAMES_LINE.split())
POLITE_WORDS = "hola gracias saludos estimado estimada querido querida favor señor señora sí no ok buenas buenos"
# Ends of inflected words, each with the ends of listed words that it may come from.
ENDINGS = (
    ("s", ("",)), ("es", ("",)), ("ces", ("z",)), ("a", ("o", "")), ("as", ("o", "a")), ("os", ("o",)),
    ("ada", ("ado", "ar")),
    ("adas", ("ado",)), ("ados", ("ado",)), ("idas", ("ido",)), ("idos", ("ido",)), ("amente", ("o", "a")), ("mente", ("",)),
    ("lo", ("",)), ("la", ("",)), ("los", ("",)), ("las", ("",)), ("le", ("",)), ("les", ("",)),
    ("me", ("",)), ("se", ("",)),
    ("ciones", ("ción",)), ("ito", ("o",)), ("ita", ("a",)),
)  # fmt: skip
SHORTEST_STEM = 3


def function_words() -> frozenset[str]:
    """Return the function words ("el", "con") and polite words, in small letters."""
    return stop_words("es") | frozenset(POLITE_WORDS.split())


def load_words() -> "WordLists":
    """Return the word lists, which takes about a second.

    Raises
    ------
    ModelError
        A package is not installed as expected.
    """
    from privacy.detect.languages.lexicon import counts
    from privacy.detect.words import collect

    listed = counts("es")
    return collect(listed, lambda word: is_inflected(word.lower(), listed), NEVER_NAMES | function_words(), PER_COUNT, "es_")


def is_inflected(word: str, listed: Collection[str]) -> bool:
    """Return whether a word in small letters is listed, or is a form of a listed word.

    Parameters
    ----------
    word
        The word.
    listed
        Listed words, in small letters.
    """
    return word in listed or any(
        word[: -len(end)] + other in listed
        for end, others in ENDINGS
        if word.endswith(end) and len(word) - len(end) >= SHORTEST_STEM
        for other in others
    )
