"""Write patterns as data: each rule is (name, expression, score).

Rules describe general forms and are fitted to no data set. They are written for the ``regex`` package (``\\p{Lu}``, and
``\\K``: what stands before it must match but is not part of the finding) with the flags below. White space in an
expression means nothing, so a space is ``[ ]``. Texts are normalised first: there is one apostrophe and one hyphen.
"""

import re

FLAGS = int(re.MULTILINE | re.DOTALL | re.VERBOSE)  # the numbers are those of ``regex``, which takes longer to import

Rules = tuple[tuple[str, str, float], ...]

# A number of a house, as every address has one.
HOUSE_NUMBER = r"\d{1,5}(?:[ ]?[A-Za-z]\b|[/-]\d{1,4}[A-Za-z]?)?"
DIGIT_GROUP = re.compile(r"\d+")


def any_of(words: str) -> str:
    """Return an expression for one of the words in any case; each word is an expression without spaces."""
    return f"(?i:{'|'.join(words.split())})"


def any_titled(words: str) -> str:
    """Return an expression for one of the words, beginning with a capital or all in capitals."""
    return f"(?:{'|'.join(f'{word.capitalize()}|{word.upper()}' for word in words.split())})"
