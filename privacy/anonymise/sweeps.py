"""Passes over the words of a text that ask not what personal data looks like, but what is no harmless word.

They find what neither a pattern nor the language model knows: names of any language, in any frame of words.
"""

import re
from collections.abc import Iterator

import regex

from privacy.anonymise.casing import Casing, casing
from privacy.anonymise.findings import Finding
from privacy.anonymise.levels import Level
from privacy.anonymise.rules import FLAGS, NO_COUNT, TITLE
from privacy.anonymise.words import WORDS_OF_A_PLACE, WordLists, without_accents

SCORE = 0.1
WORD = regex.compile(r"[\p{Lu}\p{Ll}\p{Lt}\p{M}]+(?:[-'](?!s\b)[\p{Lu}\p{Ll}\p{Lt}\p{M}]+)*")
# A word stands at the start of a sentence after nothing, a full stop, a line, a bullet, or a speaker's colon.
BEFORE_START = regex.compile(r"(?:\A|[.!?:;|]\s*|\n\s*|[\"(\[>*]\s*|\s-\s*|\d[.)]\s*)\Z", regex.V1)
# Letters that are neither Latin nor common: in an English text, a name or words that no rule can read.
FOREIGN = regex.compile(r"[\p{L}\p{M}--\p{Latin}--\p{Common}--\p{Inherited}]+(?:[\s'-]{0,2}[\p{L}\p{M}--\p{Latin}--\p{Common}--\p{Inherited}]+)*", regex.V1)
NUMBER = regex.compile(rf"(?<![\w.,$£€])\#?\d(?:[ ]?[\d/.:-])*\d\d?(?!\w){NO_COUNT}", FLAGS)
TITLES = regex.compile(rf"(?:{TITLE})\Z", FLAGS)
SMALL = frozenset("i i'm i've i'll i'd ok okay am pm a the".split())
# Between two names, part of the name.
PARTICLES = frozenset("van von der den de del della di da dos do la le el al bin ibn ter ten zu du des y af av und".split())


class Sweeper:
    """Sweeps texts with the word lists, as far as a level asks for it."""

    def __init__(self, level: Level, lists: WordLists) -> None:
        self._level = level
        self._lists = lists

    def sweep(self, text: str) -> tuple[Finding, ...]:
        """Findings in one text; they may overlap."""
        if not self._level.word_lists:
            return ()
        found = [*self._words(text), *self._places(text), *_matches(FOREIGN, "PERSON", text)]
        if self._level.numbers:
            found += [f for f in _matches(NUMBER, "ID_NUMBER", text) if sum(map(str.isdigit, text[f.start : f.end])) > 2]
        return tuple(found)

    def _words(self, text: str) -> Iterator[Finding]:
        """Words that may be names, each by itself."""
        style = casing(text)
        for match in WORD.finditer(text):
            word = match[0]
            if len(word) > 1 and self._is_suspect(word, text[: match.start()][-8:], style):
                yield Finding(self._label(word), match.start(), match.end(), SCORE)

    def _is_suspect(self, word: str, before: str, style: Casing) -> bool:
        """Whether a word must go, given how the text is written."""
        key = word.casefold()
        if key in SMALL or TITLES.match(key):
            return False
        if self._is_name(key):
            return True
        common = self._is_common(key)
        if style is Casing.LOWER:
            return not common and self._level.unknown_words and len(key) > 2
        if not word[0].isupper():
            return False
        if style in (Casing.UPPER, Casing.TITLE):
            return not common and (self._level.all_capitals or style is Casing.TITLE)
        if not common:
            return not word.isupper() or self._level.all_capitals
        return self._level.all_capitals and not BEFORE_START.search(before)

    def _is_name(self, key: str) -> bool:
        parts = re.split(r"[-']", key)
        return all(part in self._lists.names for part in parts if len(part) > 1) and len(key) > 2

    def _is_common(self, key: str) -> bool:
        return self._lists.is_common(key) or all(self._lists.is_common(part) for part in re.split(r"[-']", key) if part)

    def _label(self, word: str) -> str:
        """The type of a swept word: a place of the lists, letters of an organisation, or a person."""
        key = word.casefold()
        if key in self._lists.places and key not in self._lists.names:
            return "LOCATION"
        return "ORGANIZATION" if word.isupper() and 1 < len(word) < 6 and key not in self._lists.names else "PERSON"

    def _places(self, text: str) -> Iterator[Finding]:
        """Places of the lists, of one or several words, with a capital unless the text has none."""
        style = casing(text)
        words = [(m.start(), m.end(), m[0]) for m in WORD.finditer(text)]
        parts = [(part.start() + start, part.end() + start, part[0]) for start, _, w in words for part in re.finditer(r"[^-]+", w)]
        for i, (start, _, word) in enumerate(parts):
            if style is Casing.LOWER or word[0].isupper():
                for size in range(min(WORDS_OF_A_PLACE, len(parts) - i), 0, -1):
                    key = " ".join(part[2].casefold() for part in parts[i : i + size])
                    if (key in self._lists.places or without_accents(key) in self._lists.places) and len(key) > 3:
                        yield Finding("LOCATION", start, parts[i + size - 1][1], SCORE)
                        break


def _matches(expression: regex.Pattern[str], label: str, text: str) -> Iterator[Finding]:
    for match in expression.finditer(text):
        yield Finding(label, match.start(), match.end(), SCORE)
