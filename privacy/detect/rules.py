"""Define how patterns are written: each rule is (name, regular expression, score).

Rules describe general forms and are not fitted to any data set. They use the syntax of the ``regex`` package (``\\p{Lu}``;
``\\K``: the text before it must match but is not part of the finding) with the flags below. White space in an expression
is ignored, so a space is written ``[ ]``. Texts are normalised first: there is one apostrophe and one hyphen.
"""

import re

FLAGS = int(re.MULTILINE | re.DOTALL | re.VERBOSE)  # the numbers are those of ``regex``, which takes longer to import

Rules = tuple[tuple[str, str, float], ...]

# A house number: "12", "12 b", "12/3", "12 bis".
HOUSE_NUMBER = r"\d{1,5}(?:[ ]?(?:bis|ter|quater)\b|[ ]?[A-Za-z]\b|[/-]\d{1,4}[A-Za-z]?)?"
DIGIT_GROUP = re.compile(r"\d+")


def any_of(words: str) -> str:
    """Return an expression for one of the words in any case; each word is an expression without spaces."""
    return f"(?i:{'|'.join(words.split())})"


def any_titled(words: str) -> str:
    """Return an expression for one of the words, beginning with a capital or all in capitals."""
    return f"(?:{'|'.join(f'{word.capitalize()}|{word.upper()}' for word in words.split())})"


# A name of up to four words, with the particles of several languages.
NAME = r"(?:\p{Lu}'?\p{Lu}?\p{Ll}[\p{L}'-]*|\p{Lu}\.)"
PARTICLES = rf"(?:{any_of('van von der den de del della di da dos la le al el bin ibn ter ten zu')}[ ]){{0,2}}"
NAMES = rf"{PARTICLES}{NAME}(?:[ -]{PARTICLES}{NAME}){{0,3}}"
