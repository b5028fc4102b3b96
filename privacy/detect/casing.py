"""Text without the usual capitals, which a language model reads badly: noticing it, and guessing the capitals back."""

import re
from enum import StrEnum

from spacy.lang.en.stop_words import STOP_WORDS

from privacy.detect.words import WordLists

WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
# Words that begin no name and end no address.
FUNCTION_WORDS_LINE = "please thanks thank pls thx hi hello dear ok okay send need want let know got yes"
FUNCTION_WORDS = STOP_WORDS | frozenset(FUNCTION_WORDS_LINE.split())
# Fewer words than this say nothing about how a text is written.
FEW = 4
MOST = 0.7
FEW_CAPITALS = 0.3
# Whatever stands at the start of the text or of a sentence, but a letter that is small.
STARTS_WITH_A_CAPITAL = re.compile(r"(?:\A|[.!?]\s+|\n)\W*(?![\W]|[a-zß-öø-ÿ])")


class Casing(StrEnum):
    """How a text uses capitals."""

    USUAL = "usual"
    LOWER = "lower"
    UPPER = "upper"
    TITLE = "title"


def casing(text: str) -> Casing:
    """Whether a text has no capitals, hardly anything else, or one on most of its words.

    A text none of whose sentences begins with a capital counts as having none, though a month or a name may.
    """
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


def restore(text: str, lists: WordLists) -> str:
    """The text with a capital on every word that may be a name and on no other; as long as before, letter by letter.

    Where hardly a word has a capital, those that have one keep it.
    """
    keeps = casing(text) is Casing.LOWER

    def cased(match: re.Match[str]) -> str:
        word = match[0]
        key = word.casefold()
        if keeps and word[0].isupper():
            return word
        if key == "i" or key.startswith("i'"):
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


def titled(text: str) -> str:
    """The text with a capital on every word but function words, for the patterns of addresses; as long as before."""
    return WORD.sub(
        lambda m: _same_length(m[0], m[0].lower() if m[0].lower() in FUNCTION_WORDS else m[0].capitalize()), text
    )


def _same_length(before: str, after: str) -> str:
    """Some letters grow when their case changes; they stay."""
    return after if len(after) == len(before) else before
