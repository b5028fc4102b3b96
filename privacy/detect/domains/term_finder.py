"""Find the terms of some domains in a text.

A word that is a name elsewhere belongs to a term only within a listed phrase ("Foley catheter"), before a kind of thing
that is called after people ("Babinski sign") or after an article ("a Tomlin order"), and never after a title ("Dr Foley").
"""

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

from privacy.detect.domains.kinds import KIN, KIND_ENDS, KINDS, LATIN, LOOSE, NAMED_OF, PERSONS, RANKED, SIGNS, SYSTEMS
from privacy.detect.domains.lexicon import Lexicon, Token
from privacy.detect.domains.measures import is_measured
from privacy.detect.domains.terms import LONGEST, WORD, plain

RANK = re.compile(r"[ ](?:[IVX]{1,4}|\d{1,3}|[A-E])\b")
# After "a" or "an" a name before a noun of the domain is a term ("a Tomlin order"), unless the noun is a person.
ARTICLE = re.compile(r"(?<!\w)[Aa]n?[ ]\Z")
ROMAN = re.compile(r"[IVX]{1,4}|[A-E]|\d[A-C]?")
FIELD = re.compile(r"[ ](?:to|by|for):")
CLOSE = re.compile(r"(?:'s?)?[ \t]{1,2}|-|/|'s?")
NEGATIONS = frozenset({"anti", "non"})
WORDS = 2**14  # words whose forms are remembered


class TermFinder:
    """Finds the words of a text that belong to terms.

    Parameters
    ----------
    lexicon
        What is known of single words, with the listed phrases.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._starts, self._phrases = lexicon.terms.starts, lexicon.terms.phrases
        self._forms = lru_cache(WORDS)(self._forms_of)  # most words of a text are frequent ones

    def tokens(self, text: str) -> list[Token]:
        """Return the words of a text, without a possessive 's."""
        return [
            Token(match.start(), match.end(), *self._forms(match[0]))
            for match in WORD.finditer(text)
            if not (match[0] in ("s", "S") and text[match.start() - 1 : match.start()] == "'")
        ]

    def terms(self, text: str, tokens: Sequence[Token]) -> Iterator[tuple[int, bool]]:
        """Yield the index of each word that belongs to a term with a name, and whether the term is listed."""
        for i, token in enumerate(tokens):
            if token.key in self._starts:
                size = self._phrase(text, tokens, i)
                if size and not self._lexicon.is_titled(text, token.start):
                    yield from ((at, True) for at in range(i, i + size))
            if i and self._is_kind(text, token):
                yield from ((at, True) for at in self._named_after(text, tokens, i))
            elif i and token.is_word and not token.is_capital and not PERSONS.fullmatch(token.key):
                # "A Welsh patient record": a nation that the language model found names no term.
                yield from ((at, False) for at in _after_article(text, tokens, i))
            yield from ((at, True) for at in self._hyphened(text, tokens, i))
            if token.key in NAMED_OF or token.key in LATIN:
                yield from ((at, True) for at in self._of(text, tokens, i))
            if (token.key in SYSTEMS and token.is_capital) or self._ends_a_term(text, tokens, i) or _is_field(text, token):
                yield i, True

    def eponyms(self, text: str, tokens: Sequence[Token]) -> set[int]:
        """Return the index of each word that only things are called after, and that stands beside no title and no name."""
        upper = text.isupper()
        return {
            i
            for i, token in enumerate(tokens)
            if (
                is_measured(text, token, self._lexicon)
                or (self._is_eponym(text, token, upper) and not self._is_person(text, tokens, i, i + 1))
            )
            and not self._lexicon.is_titled(text, token.start)
            and not self._is_person(text, tokens, i, i - 1)
        }

    def _is_eponym(self, text: str, token: Token, upper: bool) -> bool:
        """Return whether a word names only things; in a text all in capitals, its capitals make it no abbreviation."""
        return self._lexicon.is_eponym(token.key) or (not upper and self._lexicon.is_eponym(text[token.start : token.end]))

    def _is_person(self, text: str, tokens: Sequence[Token], i: int, at: int) -> bool:
        """Return whether word ``at`` stands right beside word ``i``, and is a name, an initial or a word for a person."""
        if not 0 <= at < len(tokens) or text[tokens[min(i, at)].end : tokens[max(i, at)].start] not in (" ", ". "):
            return False
        other = tokens[at]
        known = other.is_word or self._lexicon.is_spelt(other.word) or self._lexicon.is_eponym(other.key)
        is_name = other.is_capital and (len(other.key) < 2 or not known or self._lexicon.is_ever_name(other.word))
        return is_name or (at < i and KIN.fullmatch(other.key) is not None)

    def without_surnames(self, text: str, tokens: Sequence[Token], kept: Collection[int]) -> list[Token]:
        """Return the words of a text; those that are family names are no words of the domain.

        Parameters
        ----------
        text
            The text.
        tokens
            Its words.
        kept
            The indices of those that belong to a term. Outside a term, a word with a capital right after a first name is a
            family name.
        """
        return [
            token._replace(is_word=False) if i and self._is_surname(text, tokens, kept, i) else token
            for i, token in enumerate(tokens)
        ]

    def _forms_of(self, word: str) -> tuple[str, str, bool, bool]:
        """Return what a token holds of a word beside its place."""
        key = plain(word)
        # "Bašić" is not the word "basic".
        is_word = self._lexicon.is_of_domain(key) and (word.isascii() or not self._lexicon.is_spelt(key))
        return key, word.casefold(), word[0].isupper(), is_word

    def _is_surname(self, text: str, tokens: Sequence[Token], kept: Collection[int], i: int) -> bool:
        token, before = tokens[i], tokens[i - 1]
        if not (token.is_capital and token.is_word and before.is_capital) or i in kept or i - 1 in kept or before.is_word:
            return False
        return text[before.end : token.start] == " " and self._lexicon.is_name(before.word)

    def _phrase(self, text: str, tokens: Sequence[Token], i: int) -> int:
        """Return the number of words of the longest listed phrase that begins at a word; 0 if there is none."""
        size = found = 1
        keys = tokens[i].key
        while size < LONGEST and i + size < len(tokens) and _is_close(text, tokens[i + size - 1], tokens[i + size]):
            keys = f"{keys} {tokens[i + size].key}"
            size += 1
            if keys in self._phrases:
                found = size
        return found if found > 1 else 0

    def _hyphened(self, text: str, tokens: Sequence[Token], i: int) -> Iterator[int]:
        """Yield two or three words with hyphens, if a listed phrase begins with them, and a word after "anti-" or "non-"."""
        size, keys = 1, tokens[i].key
        while size < 3 and i + size < len(tokens) and text[tokens[i + size - 1].end : tokens[i + size].start] == "-":
            keys = f"{keys} {tokens[i + size].key}"
            size += 1
            if keys in self._lexicon.terms.pairs and not self._lexicon.is_titled(text, tokens[i].start):
                yield from range(i, i + size)
        if size > 1 and tokens[i].key in NEGATIONS:
            yield i + 1

    def _of(self, text: str, tokens: Sequence[Token], i: int) -> Iterator[int]:
        """Yield the name that a kind of thing has after "of", unless it is that of a person, or in Latin right after it."""
        at = i + 1 if tokens[i].key in LATIN else i + 2
        if at >= len(tokens) or (at > i + 1 and tokens[i + 1].word != "of"):
            return
        if not _is_close(text, tokens[at - 1], tokens[at]):
            return
        follows = at + 1 < len(tokens) and tokens[at + 1].is_capital and text[tokens[at].end : tokens[at + 1].start] == " "
        if tokens[at].is_capital and not follows and (at == i + 1 or not self._lexicon.is_name(tokens[at].word)):
            yield at

    def _is_kind(self, text: str, token: Token) -> bool:
        if token.key in RANKED:
            return RANK.match(text, token.end) is not None
        return token.key in KINDS or (token.is_word and KIND_ENDS.fullmatch(token.key) is not None)

    def _ends_a_term(self, text: str, tokens: Sequence[Token], i: int) -> bool:
        """Return whether a word of the language, with a capital, follows two such words of the domain: "Fixed Rate Bond"."""
        before = tokens[max(0, i - 2) : i]
        return (
            len(before) == 2
            and tokens[i].is_capital
            and self._lexicon.is_spelt(tokens[i].word)
            and all(t.is_word and t.is_capital and not PERSONS.fullmatch(t.key) for t in before)
            and text[before[0].end : before[1].start] == text[before[1].end : tokens[i].start] == " "
        )

    def _named_after(self, text: str, tokens: Sequence[Token], i: int) -> Iterator[int]:
        """Yield the capitalised words right before a kind of thing, which is called after them."""
        first = last = i
        # "Warsaw breakage syndrome", "Billroth II anastomosis".
        if i > 1 and _is_close(text, tokens[i - 1], tokens[i]) and self._is_inner(text, tokens[i - 1]):
            first = i = i - 1  # the word after the name
        while first and i - first < 3 and tokens[first - 1].is_capital and _is_close(text, tokens[first - 1], tokens[first]):
            first -= 1
        while first < i and self._lexicon.is_common(tokens[first].word):
            first += 1
        hyphened = " " not in text[tokens[first].start : tokens[i - 1].end]
        if first == i or not hyphened or self._lexicon.is_titled(text, tokens[first].start):
            return
        if first and KIN.fullmatch(tokens[first - 1].key) and text[tokens[first - 1].end : tokens[first].start] == " ":
            return
        kind = tokens[last].key
        possessive = text[tokens[i - 1].end : tokens[i].start].startswith("'")
        if possessive and kind not in SIGNS:
            return
        if kind not in LOOSE or not any(self._is_listed(tokens[at].word) for at in range(first, i)):
            yield from range(first, i + 1)

    def _is_listed(self, word: str) -> bool:
        """Return whether a word is a name of persons in any country, or of a place."""
        return self._lexicon.is_ever_name(word) or self._lexicon.is_place(word)

    def _is_inner(self, text: str, token: Token) -> bool:
        """Return whether a word may stand between the name and the kind in a term: a word of the domain, or a numeral."""
        plain_word = not token.is_capital and token.is_word and token.key not in KINDS and not PERSONS.fullmatch(token.key)
        is_inner_word = plain_word and not self._lexicon.is_function_word(token.word)
        return is_inner_word or ROMAN.fullmatch(text, token.start, token.end) is not None


def _after_article(text: str, tokens: Sequence[Token], i: int) -> Iterator[int]:
    """Yield one or two capitalised words between "a" or "an" and a word of the domain."""
    first = i
    while i - first < 2 and first and tokens[first - 1].is_capital and _is_close(text, tokens[first - 1], tokens[first]):
        first -= 1
    if first < i and ARTICLE.search(text, 0, tokens[first].start):
        yield from range(first, i)


def _is_field(text: str, token: Token) -> bool:
    """Return whether a word is the field of a form, at the start of a line: "Bill to:"."""
    starts_line = token.start == 0 or text[token.start - 1] == "\n"
    return starts_line and token.is_word and FIELD.match(text, token.end) is not None


def _is_close(text: str, left: Token, right: Token) -> bool:
    return CLOSE.fullmatch(text, left.end, right.start) is not None
