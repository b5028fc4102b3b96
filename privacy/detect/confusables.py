"""Replace lookalikes of Latin letters in words of mixed script by Latin letters, and digits of other scripts by 0-9.

A word of one script stays as it is, because it may be a word of a language in that script. The pairs come from Unicode's
confusables (UTS 39): Cyrillic, Greek and Armenian letters that are drawn like a Latin one.
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
    """Replace lookalikes in words of mixed script, and every decimal digit by 0-9; a second call changes nothing."""
    if text.isascii():
        return text
    digits = "".join(str(unicodedata.decimal(c)) if c.isdecimal() and not c.isascii() else c for c in text)
    if not HAS_OTHER.search(digits):
        return digits
    return WORD.sub(lambda word: word[0].translate(LATIN) if HAS_LATIN.search(word[0]) else word[0], digits)
