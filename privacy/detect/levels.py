"""Say how much is looked for: each level adds passes to the one before, which cost time and harmless words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

LevelName = Literal["fast", "standard", "strict"]


@dataclass(frozen=True)
class Level:
    """Which passes follow the language model and the patterns.

    ``word_lists``: names and places of the lists, and a second reading of text without the usual capitals.
    ``unknown_capitals``: capitalised words that are not common words of the language. ``all_capitals``: every capitalised
    word but a common one at the start of a sentence. ``numbers``: every number of 3 digits or more. ``unknown_words``:
    words that are not common, in text without the usual capitals. ``line_breaks``: values with a line break in them.
    ``read_again``: scrubbed text is read again until nothing more is found, since a model reads a sentence in another way
    once a part of it is gone. So scrubbing scrubbed text changes nothing. This doubles the time.
    """

    word_lists: bool = False
    unknown_capitals: bool = False
    all_capitals: bool = False
    numbers: bool = False
    unknown_words: bool = False
    line_breaks: bool = False
    read_again: bool = False


LEVELS: Mapping[LevelName, Level] = {
    "fast": Level(),
    "standard": Level(word_lists=True, unknown_capitals=True),
    "strict": Level(
        word_lists=True,
        unknown_capitals=True,
        all_capitals=True,
        numbers=True,
        unknown_words=True,
        line_breaks=True,
        read_again=True,
    ),
}
