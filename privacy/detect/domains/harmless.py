"""Find the words and numbers of a domain in a text, and take findings off them.

A word that is no name stays wherever it stands. A word that is a name elsewhere stays only within a term ("Foley catheter") or before
a kind of thing that is called after people ("Babinski sign"), and never after a title ("Dr Foley"). Only what was guessed is taken
back: the findings of the language model and of the sweeps, and of rules that know a number by its length alone.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import regex

from privacy.detect.domains import numbers
from privacy.detect.domains.terms import LONGEST, Terms, plain
from privacy.detect.findings import Finding
from privacy.detect.languages.base import Language
from privacy.detect.rules import FLAGS
from privacy.detect.words import WordLists

WORD = re.compile(r"[^\W_]+")
# Kinds of things that are called after people who have none of them: "Babinski sign", "Sharpe ratio", "Sherman Act".
KINDS = frozenset(
    """
    sign signs reflex phenomenon criteria criterion classification scale maneuver maneuvers manoeuvre manoeuvres position palsy chorea ataxia
    dystrophy catheter catheters stain bodies nodules virus fever triad bacillus lymphoma sarcoma tumor tumour anemia anaemia thyroiditis
    disease diseases syndrome syndromes phenotype malformation dysplasia fracture procedure operation anastomosis contracture test
    tests score respiration breathing rings lesions nodes cells exercises stage staging grade gland duct tube line needle tendon
    ligament canal angle index inventory questionnaire flap graft hernia reaction deformity paralysis epilepsy
    act acts amendment convention conventions treaty protocol doctrine rule injunction privilege deference plea warning statute
    directive covenant accords clause defence defense immunity
    ratio scheme coefficient model duration curve bands equation rate index simulation method yield spread
    """.split()
)
# Endings of words for diseases and for operations, which are called after people too.
KIND_ENDS = re.compile(r"\w{3,}(?:itis|osis|opathy|oma|emia|plasty|ectomy|otomy|ostomy|algia|plegia|trophy|plasia)")
# Kinds that a person can have: after a possessive 's, only a listed term stays.
OWNED = KINDS - frozenset("sign signs reflex phenomenon criteria classification scale maneuver manoeuvre triad law rule".split())
CLOSE = re.compile(r"(?:'s?)?[ \t]{1,2}|-|/|'s? ?|\n")
GUESSED = frozenset({"PERSON", "LOCATION", "ORGANIZATION", "NRP", "USERNAME", "DATE_TIME", "STREET_ADDRESS"})
NUMBERED = frozenset({"PHONE_NUMBER", "ID_NUMBER", "POSTCODE", "DATE_TIME", "RECORD_NUMBER", "LOCATION", "ORGANIZATION", "PERSON", "STREET_ADDRESS"})
GUESS = 0.3  # highest score of the language model and of the sweeps
ANNOUNCED = 0.5  # score of a name after a word such as "patient"
SURE = 0.6  # scores from which a number is never taken back
SHORT = 6  # most characters of an abbreviation


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a text, in the form of the lists, with what the lists say of it."""

    start: int
    end: int
    key: str
    is_capital: bool
    is_word: bool


class Harmless:
    """Takes findings off the terms and numbers of some domains.

    Parameters
    ----------
    terms
        The words and phrases of the domains.
    language
        The language of the texts.
    lists
        Its word lists, if the level uses any.
    bare_numbers
        Whether a number that is only long may stay if it has the form of a quantity.
    """

    def __init__(self, terms: Terms, language: Language, lists: WordLists | None, bare_numbers: bool) -> None:
        self._terms = terms
        self._lists = lists
        self._function_words = language.function_words()
        self._bare_numbers = bare_numbers
        self._titled = regex.compile(rf"\b{language.titles}\.?[ ]*\Z", FLAGS)

    def keep(self, text: str, findings: Sequence[Finding]) -> tuple[Finding, ...]:
        """Return the findings without those on harmless words and numbers, and with the rest of those that hold both.

        Parameters
        ----------
        text
            The text.
        findings
            All findings in the text.
        """
        if not any(f.score < SURE for f in findings):
            return tuple(findings)
        tokens = list(self._tokens(text))
        kept = set(self._terms_in(text, tokens))
        values = self._numbers(text)
        return tuple(rest for f in findings for rest in self._rest(text, f, tokens, kept, values))

    def _tokens(self, text: str) -> Iterator[Token]:
        for match in WORD.finditer(text):
            word = match[0]
            if word in ("s", "S") and text[match.start() - 1 : match.start()] == "'":
                continue
            key = plain(word)
            yield Token(match.start(), match.end(), key, word[0].isupper(), key in self._terms.words)

    def _terms_in(self, text: str, tokens: Sequence[Token]) -> Iterator[int]:
        """Yield the index of each word that belongs to a term with a name."""
        for i, token in enumerate(tokens):
            if token.key in self._terms.starts:
                size = self._phrase(text, tokens, i)
                if size and not self._titled.search(text, max(0, token.start - 12), token.start):
                    yield from range(i, i + size)
            if self._is_kind(token) and i:
                yield from self._named_after(text, tokens, i)

    def _phrase(self, text: str, tokens: Sequence[Token], i: int) -> int:
        """Return the number of words of the longest listed phrase that begins at a word; 0 if there is none."""
        size = found = 1
        keys = tokens[i].key
        while size < LONGEST and i + size < len(tokens) and _is_close(text, tokens[i + size - 1], tokens[i + size]):
            keys = f"{keys} {tokens[i + size].key}"
            size += 1
            if keys in self._terms.phrases:
                found = size
        return found if found > 1 else 0

    def _is_kind(self, token: Token) -> bool:
        return token.key in KINDS or (token.is_word and KIND_ENDS.fullmatch(token.key) is not None)

    def _named_after(self, text: str, tokens: Sequence[Token], i: int) -> Iterator[int]:
        """Yield the capitalised words right before a kind of thing, which is called after them."""
        first = i
        while first and i - first < 4 and tokens[first - 1].is_capital and _is_close(text, tokens[first - 1], tokens[first]):
            first -= 1
        while first < i and self._is_common(tokens[first].key):
            first += 1
        if first == i or self._titled.search(text, max(0, tokens[first].start - 12), tokens[first].start):
            return
        possessive = text[tokens[i - 1].end : tokens[i].start].startswith("'")
        if not (possessive and (tokens[i].key in OWNED or tokens[i].key not in KINDS)):
            yield from range(first, i + 1)

    def _numbers(self, text: str) -> list[tuple[int, int]]:
        found = [match.span() for match in numbers.HARMLESS.finditer(text)]
        for match in numbers.VALUED.finditer(text):
            key = match["name"].casefold()
            if not (self._lists and key in self._lists.places):
                found.append(match.span("number"))
        return found

    def _rest(
        self, text: str, finding: Finding, tokens: Sequence[Token], kept: set[int], values: Sequence[tuple[int, int]]
    ) -> Iterable[Finding]:
        """Return what remains of one finding."""
        if finding.label in NUMBERED and finding.score < SURE and self._bare_numbers:
            if any(start <= finding.start and finding.end <= end for start, end in values):
                return ()
        if finding.label not in GUESSED or finding.score > ANNOUNCED:
            return (finding,)
        inside = [i for i, t in enumerate(tokens) if t.start < finding.end and finding.start < t.end]
        if not inside:
            return (finding,)
        if finding.score > GUESS:
            ours = finding.label == "PERSON" and all(i in kept or self._is_specific(tokens[i]) for i in inside)
            return () if ours else (finding,)
        return self._guess(text, finding, [(tokens[i], i in kept) for i in inside], values)

    def _guess(
        self, text: str, finding: Finding, inside: Sequence[tuple[Token, bool]], values: Sequence[tuple[int, int]]
    ) -> Iterable[Finding]:
        """Return what remains of a finding that the language model or a sweep made."""
        if len(inside) == 1 and self._is_abbreviation(text, finding, inside[0][0]):
            return ()
        left = [t for t, is_kept in inside if not is_kept and not self._is_harmless(t, values)]
        if not left:
            known = any(is_kept or t.is_word for t, is_kept in inside)
            return () if known and not self._may_be_names(finding, inside) else (finding,)
        left = [t for t, is_kept in inside if not is_kept and not self._is_specific(t)]
        if not left or len(left) == len(inside):
            return (finding,) if left else ()
        return (replace(finding, start=max(finding.start, left[0].start), end=min(finding.end, left[-1].end)),)

    def _is_abbreviation(self, text: str, finding: Finding, token: Token) -> bool:
        word = text[token.start : token.end]
        if finding.label == "USERNAME" or not word.isupper() or not 2 <= len(word) <= SHORT:
            return False
        if self._lists and (token.key in self._lists.places or self._lists.is_name(token.key)):
            return False
        return finding.label == "ORGANIZATION" or len(word) > 3

    def _may_be_names(self, finding: Finding, inside: Sequence[tuple[Token, bool]]) -> bool:
        """Return whether a guessed person has a name of several words that all are names of some people."""
        if finding.label != "PERSON" or len(inside) < 2 or self._lists is None or any(is_kept for _, is_kept in inside):
            return False
        return all(t.is_capital and t.key in self._lists.locales for t, _ in inside)

    def _is_harmless(self, token: Token, values: Sequence[tuple[int, int]]) -> bool:
        if token.is_word or self._is_common(token.key):
            return True
        return any(start <= token.start and token.end <= end for start, end in values) or token.key.isdigit() and len(token.key) < 4

    def _is_specific(self, token: Token) -> bool:
        """Return whether a word is of the domain only, so that it cannot be a part of a name."""
        return token.is_word and not (self._lists and self._lists.is_spelt(token.key))

    def _is_common(self, key: str) -> bool:
        return len(key) < 2 or key in self._function_words or bool(self._lists and self._lists.is_common(key))


def _is_close(text: str, left: Token, right: Token) -> bool:
    return CLOSE.fullmatch(text, left.end, right.start) is not None
