"""Recognise text without the usual capitals, which a language model reads badly, and restore likely capitals."""

import re
from collections.abc import Collection
from enum import StrEnum

from privacy.detect.words import WordLists

WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
# Fewest words of a text that can count as upper case; title case needs two more, and all of more than three letters.
FEW = 4
# Share of words in capitals from which a text counts as upper case.
MOST = 0.7
# Share of words with a capital up to which a text may count as lower case.
FEW_CAPITALS = 0.3
# The start of the text or of a sentence, followed by anything but a small letter.
STARTS_WITH_A_CAPITAL = re.compile(r"(?:\A|[.!?]\s+|\n)\W*(?![\W]|[a-zß-öø-ÿ])")
# A masked tag of scrubbed text.
TAG = re.compile("\ufffc{5,}")


class Casing(StrEnum):
    """How a text uses capitals."""

    USUAL = "usual"
    LOWER = "lower"
    UPPER = "upper"
    TITLE = "title"


def casing(text: str) -> Casing:
    """Return how a text uses capitals: as usual, hardly at all, for most letters, or at the start of most words.

    A text in which no sentence begins with a capital counts as lower case even if a few words, such as names, have one.
    """
    text = TAG.sub(lambda tag: "T" + "t" * (len(tag[0]) - 1), text)  # a tag stands for a name, which had a capital
    words = [word for word in WORD.findall(text) if len(word) > 1 and word[0].lower() != word[0].upper()]
    if not words:
        return Casing.USUAL
    capital = sum(word[0].isupper() for word in words)
    if capital == 0 or (capital <= FEW_CAPITALS * len(words) and not STARTS_WITH_A_CAPITAL.search(text)):
        return Casing.LOWER
    if len(words) >= FEW and sum(word.isupper() for word in words) >= MOST * len(words):
        return Casing.UPPER
    long = [word for word in words if len(word) > 3]
    if len(long) >= FEW + 2 and sum(word[0].isupper() for word in long) >= 0.9 * len(long):
        return Casing.TITLE
    return Casing.USUAL


def restore(text: str, lists: WordLists, always_capital: re.Pattern[str]) -> str:
    """Return the text with a capital on every word that may be a name and on no other word; no character moves.

    In a text of casing ``LOWER``, the few capitals that it has are kept.

    Parameters
    ----------
    text
        A text without the usual capitals.
    lists
        The word lists of its language.
    always_capital
        Matches words, in small letters, that always begin with a capital.
    """
    keeps = casing(text) is Casing.LOWER

    def cased(match: re.Match[str]) -> str:
        word = match[0]
        key = word.casefold()
        if keeps and word[0].isupper():
            return word
        if always_capital.fullmatch(key):
            return _same_length(word, word[0].upper() + word[1:].lower())
        parts = re.split(r"(['-])", word)
        if lists.is_common(key) or all(map(lists.is_common, key.split("-"))):
            return _same_length(word, word.lower())
        return _same_length(word, "".join(part.capitalize() for part in parts))

    restored = WORD.sub(cased, text)
    for match in re.finditer(r"(?:\A|[.!?]\s+|\n\s*)([^\W\d_])", restored):
        at = match.start(1)
        restored = restored[:at] + _same_length(restored[at], restored[at].upper()) + restored[at + 1 :]
    return restored


def titled(text: str, function_words: Collection[str]) -> str:
    """Return the text with a capital on every word but function words, for the patterns of addresses; no character moves."""
    return WORD.sub(
        lambda m: _same_length(m[0], m[0].lower() if m[0].lower() in function_words else m[0].capitalize()), text
    )


def _same_length(before: str, after: str) -> str:
    """Return ``after``, or ``before`` if the length differs (the capital of "ß" is "SS"), so that no character moves."""
    return after if len(after) == len(before) else before
