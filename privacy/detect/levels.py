"""Define the levels of detection: each adds passes, which find more, take longer and replace more harmless words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

LevelName = Literal["fast", "standard", "strict"]


@dataclass(frozen=True)
class Level:
    """Which passes follow the language model and the patterns.

    Attributes
    ----------
    word_lists
        Find the names and places of the word lists, and capitalised words that are not common words of the language; read
        text without the usual capitals with restored capitals.
    all_capitals
        Find every capitalised word except a common one at the start of a sentence.
    numbers
        Find every number of 3 digits or more.
    unknown_words
        Find words that are not common, in text without the usual capitals.
    line_breaks
        Find values that contain a line break.
    read_again
        Read scrubbed text again until nothing more is found, because a model reads a sentence differently once a part of
        it is gone. Scrubbing scrubbed text then changes nothing. This doubles the time.
    """

    word_lists: bool = False
    all_capitals: bool = False
    numbers: bool = False
    unknown_words: bool = False
    line_breaks: bool = False
    read_again: bool = False


LEVELS: Mapping[LevelName, Level] = {
    "fast": Level(),
    "standard": Level(word_lists=True),
    "strict": Level(
        word_lists=True,
        all_capitals=True,
        numbers=True,
        unknown_words=True,
        line_breaks=True,
        read_again=True,
    ),
}
