"""Take back the findings that lie on terms and numbers of a domain.

A word that is no name stays wherever it stands, and a word that is a name elsewhere stays only within a term. Only what was
guessed is taken back: the findings of the language model and of the sweeps, and of rules that know a number by its length
alone.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from privacy.detect.domains import numbers
from privacy.detect.domains.kinds import CITED, FIRMS, KIND_ENDS, PEOPLE, PUBLIC
from privacy.detect.domains.lexicon import Lexicon, Token
from privacy.detect.domains.term_finder import TermFinder
from privacy.detect.domains.terms import WORD, Terms, plain
from privacy.detect.findings import Finding
from privacy.detect.languages.base import Language
from privacy.detect.words import WordLists

# Words with a capital after a small letter, such as "MiFID", "HbA1c", "BrS" and "pH", or with one small letter at the end,
# such as "JAKi". Names such as "McAdam" and "DeVries" are left out by their beginning.
MIXED = re.compile(
    r"(?!(?:Mac|Mc|Fitz|De|Di|Du|Da|La|Le|Van|Von|San|St|O)[A-Z])"
    r"(?:[A-Z]?[a-z]+(?:[A-Z\d][a-z]*)*(?:[A-Z]{2,}|\d)\w*|[A-Z]?[a-z]{1,2}[A-Z]{1,2}|[a-z][A-Z][a-z]{1,3}|[A-Z]{2,4}[a-z])"
)
# Endings of nouns with which no firm's name ends: "Original Group Information".
ABSTRACT = re.compile(r"\w{3,}(?:[st]ion|ment|ance|ity|ness|ing|ship|ure)s?")
LOWER_BEFORE = re.compile(r"(?<!\w)([A-Za-z]+)[ ]\Z")
GUESSED = frozenset({"PERSON", "LOCATION", "ORGANIZATION", "NRP", "USERNAME"})
NUMBERED = frozenset(
    {"PHONE_NUMBER", "ID_NUMBER", "POSTCODE", "DATE_TIME", "RECORD_NUMBER", "LOCATION", "ORGANIZATION", "PERSON"}
    | {"STREET_ADDRESS", "US_SSN"}
)
GUESS = 0.3  # highest score of the language model and of the sweeps
ANNOUNCED = 0.5  # score of a name after a word such as "patient"
SURE = 0.6  # scores from which a number is never taken back
SHORT, LONG = 4, 6  # longest abbreviation, and longest one that is a common word or holds a digit


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
        self._lexicon = Lexicon(terms, language, lists)
        self._finder = TermFinder(self._lexicon)
        self._bare_numbers = bare_numbers

    def filtered(self, text: str, findings: Sequence[Finding], sure: Sequence[Finding] = ()) -> tuple[Finding, ...]:
        """Return the findings without those on harmless words and numbers, and with the rest of those that hold both.

        Parameters
        ----------
        text
            The text.
        findings
            All findings in the text.
        sure
            Findings in the text that stay anyway. A person that a sure finding names ("Mr Kowalski") is that person
            everywhere in the text, even before "disease".
        """
        if not any(f.score < SURE for f in findings):
            return tuple(findings)
        tokens = self._finder.tokens(text)
        named = _named(text, (*findings, *sure))
        nations = [(f.start, f.end) for f in findings if f.label == "NRP"]
        kept = {
            i
            for i, is_listed in self._finder.terms(text, tokens)
            if not (tokens[i].is_capital and tokens[i].word in named)
            and (is_listed or not any(start < tokens[i].end and tokens[i].start < end for start, end in nations))
        }
        tokens = self._finder.without_surnames(text, tokens, kept)
        eponyms = self._finder.eponyms(text, tokens)
        values = numbers.places(text, self._lexicon)
        guessed = kept | eponyms
        return tuple(
            rest for f in findings for rest in self._rest(text, f, tokens, guessed if f.score <= GUESS else kept, values)
        )

    def _rest(
        self, text: str, finding: Finding, tokens: Sequence[Token], kept: set[int], values: Sequence[tuple[int, int]]
    ) -> Iterable[Finding]:
        """Return what remains of one finding."""
        is_number = finding.label in NUMBERED and finding.score < SURE and self._bare_numbers
        if is_number and _is_of_values(text, finding, values):
            return ()
        if finding.label == "JOB_TITLE" and finding.score <= GUESS:  # an office, unless a noun follows: "Ombudsman Service"
            at = bisect_left(tokens, finding.end, key=_start)
            follows = at < len(tokens) and text[finding.end : tokens[at].start] == " " and tokens[at].is_word
            return () if follows else (finding,)
        if finding.label not in GUESSED or finding.score > ANNOUNCED:
            return (finding,)
        inside = range(bisect_right(tokens, finding.start, key=_end), bisect_left(tokens, finding.end, key=_start))
        if not inside:
            return (finding,)
        if finding.score > GUESS:
            return () if self._is_no_name(finding, [(tokens[i], i in kept) for i in inside]) else (finding,)
        return self._guess(text, finding, [(tokens[i], i in kept) for i in inside], values)

    def _is_no_name(self, finding: Finding, inside: Sequence[tuple[Token, bool]]) -> bool:
        """Return whether a name after a word such as "patient", or a company, has only words that are no names."""
        if finding.label == "PERSON":
            listed = self._lexicon.is_listed
            return all(is_kept or self._is_specific(t) or (t.is_word and not listed(t.word)) for t, is_kept in inside)
        if finding.label != "ORGANIZATION":
            return False
        if all(self._lexicon.is_function_word(t.word) for t, _ in inside[:-1]):
            return True  # "Is BV common"
        return all(is_kept or t.is_word or t.key == "the" for t, is_kept in inside) and inside[-1][0].key in PUBLIC

    def _guess(
        self, text: str, finding: Finding, inside: Sequence[tuple[Token, bool]], values: Sequence[tuple[int, int]]
    ) -> Iterable[Finding]:
        """Return what remains of a finding that the language model or a sweep made."""
        short = [self._is_abbreviation(text, finding, t) for t, _ in inside]
        if all(is_kept or s or self._is_harmless(t, values) for (t, is_kept), s in zip(inside, short, strict=True)):
            return () if self._is_known(text, finding, inside, short) else (finding,)
        left = [t for t, is_kept in inside if not is_kept and not self._is_specific(t)]
        if not left or len(left) == len(inside):
            return (finding,) if left else ()
        return (replace(finding, start=max(finding.start, left[0].start), end=min(finding.end, left[-1].end)),)

    def _is_known(self, text: str, finding: Finding, inside: Sequence[tuple[Token, bool]], short: Sequence[bool]) -> bool:
        """Return whether the words of a guess, each of which is harmless alone, are no name together either."""
        if any(is_kept or self._is_specific(t) for t, is_kept in inside) or all(short):
            return True
        if all(s or self._is_ordinary(t) for (t, _), s in zip(inside, short, strict=True)):
            head = inside[-1][0]
            is_noun = head.key not in FIRMS and (head.is_word or ABSTRACT.fullmatch(head.key) is not None)
            if finding.label != "ORGANIZATION" or (is_noun and any(t.is_word for t, _ in inside)):
                return True
        if len(inside) == 1 and finding.label == "ORGANIZATION":
            token = inside[0][0]
            listed = self._lexicon.is_ever_name(token.word) or self._lexicon.is_place(token.word)
            return not listed or self._is_adjective(text, token)
        words = all(
            s or t.is_word or len(t.key) < 2 or self._lexicon.is_function_word(t.word) or t.key.isdigit()
            for (t, _), s in zip(inside, short, strict=True)
        ) or self._is_term(finding, inside)
        place = self._lexicon.is_place(" ".join(t.word for t, _ in inside))
        names = (t.word for t, _ in inside if t.is_capital and len(t.key) > 1 and not self._lexicon.is_function_word(t.word))
        return words and not place and not any(map(self._lexicon.is_listed, names))

    def _is_ordinary(self, token: Token) -> bool:
        """Return whether a word is in the dictionary with a small letter, and is no name of persons or of a place."""
        if len(token.key) < 2 or self._lexicon.is_function_word(token.word):
            return True
        named = self._lexicon.is_ever_name(token.word) or self._lexicon.is_place(token.word)
        return not named and (token.is_word or self._lexicon.is_spelt(token.word))

    def _is_term(self, finding: Finding, inside: Sequence[tuple[Token, bool]]) -> bool:
        """Return whether a name is a term of common words with a noun of the domain as its head.

        The head is the last word, or the word before "of": "Early Repayment Charge", "Statute of Limitations". A firm of
        common words has another head ("General Electric"), or one that many firms have ("Premier Clinic").
        """
        listed = any(self._lexicon.is_ever_name(t.word) for t, _ in inside)
        if len(inside) < 2 or finding.label not in ("ORGANIZATION", "PERSON") or (finding.label == "PERSON" and listed):
            return False
        heads = [t for (t, _), (after, _) in pairwise(inside) if after.word == "of"] + [inside[-1][0]]
        return any(t.is_word or CITED.fullmatch(t.word) for t in heads) and all(t.key not in FIRMS for t in heads)

    def _is_adjective(self, text: str, token: Token) -> bool:
        """Return whether a word of the domain stands right before another, as a brand does: "Visa card"."""
        after = _next_word(text, token)
        return token.is_word and after.islower() and plain(after) not in PEOPLE and self._lexicon.is_of_domain(plain(after))

    def _is_abbreviation(self, text: str, finding: Finding, token: Token) -> bool:
        """Return whether a word is an abbreviation, which a language model takes for an organisation or a person."""
        word = text[token.start : token.end]
        if finding.label not in ("ORGANIZATION", "PERSON", "NRP", "LOCATION"):
            return False
        if word.isascii() and word.isupper() and 2 <= len(word) <= LONG and self._is_used_as_noun(text, token):
            return True
        if self._lexicon.is_place(token.word) or self._lexicon.is_name(token.word):
            return False
        known = token.is_word or self._lexicon.is_spelt(token.word) or any(map(str.isdigit, word))
        is_short = word.isascii() and word.isupper() and 2 <= len(word) <= (LONG if known else SHORT)
        return is_short or MIXED.fullmatch(word) is not None

    def _is_used_as_noun(self, text: str, token: Token) -> bool:
        """Return whether a word in capitals in a usual text is no name: "the IBAN is", "an ISA", "HELOC rates"."""
        if text.isupper() or self._lexicon.is_titled(text, token.start):
            return False
        after = _next_word(text, token)
        if after and (not after.islower() or plain(after) in PEOPLE):
            return False
        before = LOWER_BEFORE.search(text, max(0, token.start - 16), token.start)
        if before is not None and before[1].lower() in ("the", "a", "an", "this", "any", "no", "each"):
            return True
        return bool(after) and not self._lexicon.is_function_word(after) and self._lexicon.is_of_domain(plain(after))

    def _is_harmless(self, token: Token, values: Sequence[tuple[int, int]]) -> bool:
        is_small_number = token.key.isdigit() and len(token.key) < 4
        if token.is_word or is_small_number or self._lexicon.is_common(token.word, token.is_capital):
            return True
        return any(start <= token.start and token.end <= end for start, end in values)

    def _is_specific(self, token: Token) -> bool:
        """Return whether a word is of the domain only, so that it cannot be a part of a name."""
        if self._lexicon.is_listed(token.word):
            return False
        return KIND_ENDS.fullmatch(token.key) is not None or (token.is_word and not self._lexicon.is_spelt(token.word))


def _is_of_values(text: str, finding: Finding, values: Sequence[tuple[int, int]]) -> bool:
    """Return whether a number is a part of a harmless one, or a date that was guessed has only digits of such numbers."""
    if any(start <= finding.start and finding.end <= end for start, end in values):
        return True
    digits = [place for place in range(finding.start, finding.end) if text[place].isdigit()]
    is_date = finding.label == "DATE_TIME" and finding.score <= GUESS
    return is_date and bool(digits) and all(any(start <= place < end for start, end in values) for place in digits)


def _named(text: str, findings: Iterable[Finding]) -> set[str]:
    """Return the casefolded words of the persons that findings name for sure."""
    sure = (f for f in findings if f.label == "PERSON" and f.score > ANNOUNCED)
    return {word.casefold() for f in sure for word in WORD.findall(text[f.start : f.end])}


def _next_word(text: str, token: Token) -> str:
    """Return the word after a word and one space; empty if there is none."""
    after = WORD.match(text, token.end + 1) if text[token.end : token.end + 1] == " " else None
    return after[0] if after else ""


def _start(token: Token) -> int:
    return token.start


def _end(token: Token) -> int:
    return token.end
