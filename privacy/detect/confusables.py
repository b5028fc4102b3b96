"""Fold letters of other scripts that look Latin and stand among Latin letters, and digits of other scripts.

A word of one script stays as it is: it may be a word of a language in that script. The pairs are those of Unicode's
confusables (UTS 39) whose Cyrillic, Greek or Armenian letter is drawn like a Latin one.
"""

import re
import unicodedata

CYRILLIC = ("АВЕЅІЈКМНОРСТХУԀԌԚԜҮасеѕіјорхуһԁԛԝҽԍ", "ABESIJKMHOPCTXYDGQWYacesijopxyhdqweg")
GREEK = ("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹαινορυϲϳ", "ABEZHIKMNOPTYXCaivopucj")
ARMENIAN = ("ՍՕԼաոսցօհ", "UOLwnugoh")
LATIN = str.maketrans(
    "".join(pair[0] for pair in (CYRILLIC, GREEK, ARMENIAN)),
    "".join(pair[1] for pair in (CYRILLIC, GREEK, ARMENIAN)),
)
WORD = re.compile(r"\w+")
# Latin letters of ASCII and its extensions; the lookalikes begin at Greek.
HAS_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
HAS_OTHER = re.compile(r"[\u0370-\u058f]")


def fold(text: str) -> str:
    """Fold lookalikes in words that mix scripts, and every decimal digit to 0-9; applying it twice changes nothing."""
    if text.isascii():
        return text
    digits = "".join(str(unicodedata.decimal(c)) if c.isdecimal() and not c.isascii() else c for c in text)
    if not HAS_OTHER.search(digits):
        return digits
    return WORD.sub(lambda word: word[0].translate(LATIN) if HAS_LATIN.search(word[0]) else word[0], digits)
