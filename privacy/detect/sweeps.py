"""Find each word of a text that the word lists do not know as harmless.

This finds names of any language in any sentence, even those that neither a pattern nor the language model recognises.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import regex

from privacy.detect.casing import Casing, casing
from privacy.detect.findings import LISTED, Finding
from privacy.detect.languages.base import Language
from privacy.detect.levels import Level
from privacy.detect.rules import FLAGS
from privacy.detect.words import WORDS_OF_A_PLACE, WordLists, without_accents

SCORE = 0.1
WORDS = 2**14  # most words whose verdict is remembered
IN_A_LIST = 0.55  # the score of a listed name in a list of persons; no term of a domain stands there
WORD = regex.compile(r"[\p{Lu}\p{Ll}\p{Lt}\p{M}]+(?:[-'](?!s\b)[\p{Lu}\p{Ll}\p{Lt}\p{M}]+)*")
PART = re.compile(r"[^-]+")  # a part of a word with hyphens
# What precedes the first word of a sentence: nothing, a full stop, a line break, a bullet, or the colon after a speaker.
BEFORE_START = regex.compile(r"(?:\A|[.!?:;|]\s*|\n\s*|[\"(\[>*]\s*|\s-\s*|\d[.)]\s*)\Z", regex.V1)
# Words in letters of other scripts than Latin: names, or words that no rule can read.
FOREIGN = regex.compile(
    r"[\p{L}\p{M}--\p{Latin}--\p{Common}--\p{Inherited}]+(?:[\s'-]{0,2}[\p{L}\p{M}--\p{Latin}--\p{Common}--\p{Inherited}]+)*",
    regex.V1,
)
# Endings of nationalities and faiths, which people also write with a small letter: "i am cambodian".
DEMONYM = re.compile(r"(?:[aei]an|ese|ish|i)s?\Z")
AFTER_NAME = regex.compile(
    r"(?:[ ](?P<initial>\p{L}\.?)|[ ](?:d[eiu]|del|da|dos|von|van)(?:[ ](?:l[aoe]s?|de[rn]))?(?=[ ]\p{Lu}))?"
    r"[ ](?P<word>[\p{Lu}\p{Ll}][\p{L}\p{M}'-]+)"
)
FIRM = regex.compile(
    r"(?<!\p{Lu}[\p{L}'-]*[ ]?,[ ])(?<!\w)(?P<firm>(?P<word>\p{Lu}[\p{L}'-]+)(?:,[ ](?P<word>\p{Lu}[\p{L}'-]+)){1,2},?[ ]"
    r"(?:and|&|und|et|y)[ ](?P<word>\p{Lu}[\p{L}'-]+))(?!\w)"
)


class Sweeper:
    """Searches texts of one language for words that its word lists do not know as harmless.

    Parameters
    ----------
    level
        Says which words to search for.
    language
        The language of the texts.
    lists
        Its word lists.
    """

    def __init__(self, level: Level, language: Language, lists: WordLists) -> None:
        self._level = level
        self._lists = lists
        self._first_words = frozenset(place.partition(" ")[0] for place in lists.places)
        self._verdict = lru_cache(WORDS)(self._judge)  # most words of a text are frequent ones
        self._function_words = language.function_words()
        self._harmless = language.harmless_words
        self._login = regex.compile(language.login, FLAGS)
        self._titles = regex.compile(rf"(?:{language.titles})\Z", FLAGS)
        self._number = regex.compile(rf"(?<![\w.,$£€])\d(?:[ ]?[\d/.:-])*\d(?![\w%°]|[ ]?(?:{language.units})\b)", FLAGS)

    def sweep(self, text: str) -> tuple[Finding, ...]:
        """Return the findings in one text; they may overlap."""
        style = casing(text)
        words = list(self._words(text, style))
        found = [*words, *self._names(text, words, style), *self._places(text, style), *_matches(FOREIGN, "PERSON", text)]
        found += [*self._logins(text), *self._firms(text)]
        if self._level.numbers:
            found += [
                f for f in _matches(self._number, "ID_NUMBER", text) if sum(map(str.isdigit, text[f.start : f.end])) > 2
            ]
        return tuple(found)

    def _words(self, text: str, style: Casing) -> Iterator[Finding]:
        """Yield each word that may be a name by itself."""
        for match in WORD.finditer(text):
            verdict = self._verdict(match[0], style)
            if verdict is None:
                continue
            label, score, begins = verdict
            if begins or not BEFORE_START.search(text[max(0, match.start() - 8) : match.start()]):
                yield Finding(label, match.start(), match.end(), score)

    def _judge(self, word: str, style: Casing) -> tuple[str, float, bool] | None:
        """Return the type and score of a finding, and whether the word also counts where it begins a sentence."""
        if style is Casing.USUAL and word.islower() and DEMONYM.search(word) and self._lists.is_proper(word):
            return "NRP", SCORE, True
        suspect, begins = self._is_suspect(word, style) if len(word) > 1 else (False, False)
        if not suspect:
            return None
        label = self._label(word)
        return label, LISTED if label == "PERSON" and self._is_name(word.casefold()) else SCORE, begins

    def _logins(self, text: str) -> Iterator[Finding]:
        """Yield the word after "user", "login" and the like, unless it is a common word."""
        for match in self._login.finditer(text):
            word = match["word"]
            if not self._is_common(word.casefold()):
                yield Finding("USERNAME", match.start("word"), match.end("word"), SCORE)

    def _names(self, text: str, found: list[Finding], style: Casing) -> Iterator[Finding]:
        """Yield each found name together with an initial or a particle and the next word, if that may belong to the name."""
        for finding in found:
            rest = AFTER_NAME.match(text, finding.end) if finding.label == "PERSON" else None
            if rest is None or (style is Casing.USUAL and rest["initial"] in self._function_words):  # "Ana y su hermana"
                continue
            word, capital = rest["word"].casefold(), style is Casing.LOWER or rest["word"][0].isupper()
            if word not in self._function_words if rest["initial"] else self._may_follow(word, capital):
                yield Finding("PERSON", finding.start, rest.end("word"), finding.score)

    def _may_follow(self, word: str, capital: bool) -> bool:
        """Return whether a word right after a name belongs to it: a listed name, or a word that no list holds."""
        unknown = capital and len(word) > 3 and word not in self._lists.counts and not self._lists.is_spelt(word)
        return unknown or self._lists.may_follow_name(word, capital)

    def _firms(self, text: str) -> Iterator[Finding]:
        """Yield "A, B and C" if all three are names, or two of them rare ones; after a colon they are a list of persons."""
        for match in FIRM.finditer(text):
            words = [word.casefold() for word in match.captures("word")]
            if self._are_names(words):
                if text[: match.start("firm")].rstrip(" ").endswith(":"):
                    for (start, end), word in zip(match.spans("word"), words, strict=True):
                        yield Finding("PERSON", start, end, IN_A_LIST if word in self._lists.locales else LISTED)
                else:
                    yield Finding("ORGANIZATION", match.start("firm"), match.end("firm"), LISTED)

    def _are_names(self, words: Sequence[str]) -> bool:
        """Return whether some casefolded words may be the names of partners: one may be a common word, such as "Vale"."""
        rare = sum(self._lists.may_be_name(word) or not self._is_common(word) for word in words)
        return rare > 1 or all(word in self._lists.locales or not self._is_common(word) for word in words)

    def _is_suspect(self, word: str, style: Casing) -> tuple[bool, bool]:
        """Return whether a word counts as a finding in a text of a casing, and whether even if it begins a sentence."""
        key = word.casefold()
        if key in self._harmless or self._titles.match(key) or ("'" in key and self._lists.is_common(key)):
            return False, False
        common = self._is_common(key, word[0].isupper())
        if style is Casing.USUAL and word.islower() and self._lists.is_ambiguous(key):
            return False, False
        if not common and (self._is_name(key) or (self._level.unknown_words and self._lists.is_proper(key))):
            return True, True
        if not word[0].isupper():
            return style is Casing.LOWER and not common and self._level.unknown_words and len(key) > 2, True
        if style is Casing.USUAL and self._level.all_capitals:
            return True, not common or self._lists.may_be_name(key)
        # Short words in capitals are mostly abbreviations.
        alone = self._level.all_capitals or not word.isupper() or len(word) > 5 or key in self._lists.places
        return not common and alone, True

    def _is_name(self, key: str) -> bool:
        parts = [part for part in key.split("-") if len(part) > 1]
        return bool(parts) and all(map(self._lists.is_name, parts))

    def _is_common(self, key: str, capital: bool = False) -> bool:
        return self._lists.is_common(key, capital) or all(
            self._lists.is_common(part, capital) for part in key.split("-") if part
        )

    def _label(self, word: str) -> str:
        """Return the type of a found word: a listed place, an organisation (few capital letters), or a person."""
        key = word.casefold()
        if self._lists.is_name(key):
            return "PERSON"
        if key in self._lists.places:
            return "LOCATION"
        return "ORGANIZATION" if word.isupper() and len(word) < 6 else "PERSON"

    def _begins_a_place(self, word: str) -> bool:
        key = word.casefold()
        return key in self._first_words or (not key.isascii() and without_accents(key) in self._first_words)

    def _places(self, text: str, style: Casing) -> Iterator[Finding]:
        """Yield listed places of one or several words; they need a capital unless the text is in lower case."""
        parts = [
            (start + part.start(), start + part.end(), part[0])
            for start, word in ((m.start(), m[0]) for m in WORD.finditer(text))
            for part in PART.finditer(word)
        ]
        for i, (start, _, word) in enumerate(parts):
            if (style is Casing.LOWER or word[0].isupper()) and self._begins_a_place(word):
                for size in range(min(WORDS_OF_A_PLACE, len(parts) - i), 0, -1):
                    key = " ".join(part[2].casefold() for part in parts[i : i + size])
                    if (key in self._lists.places or without_accents(key) in self._lists.places) and len(key) > 3:
                        yield Finding("LOCATION", start, parts[i + size - 1][1], LISTED)
                        break


def _matches(expression: regex.Pattern[str], label: str, text: str) -> Iterator[Finding]:
    for match in expression.finditer(text):
        yield Finding(label, match.start(), match.end(), SCORE)
