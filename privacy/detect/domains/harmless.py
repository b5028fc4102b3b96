"""Find the words and numbers of a domain in a text, and take findings off them.

A word that is no name stays wherever it stands. A word that is a name elsewhere stays only within a term ("Foley catheter")
or before a kind of thing that is called after people ("Babinski sign"), and never after a title ("Dr Foley"). Only what was
guessed is taken
back: the findings of the language model and of the sweeps, and of rules that know a number by its length alone.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import regex

from privacy.detect.domains import numbers
from privacy.detect.domains.terms import LONGEST, Terms, plain
from privacy.detect.findings import Finding
from privacy.detect.languages.base import Language
from privacy.detect.rules import DIGIT_GROUP, FLAGS
from privacy.detect.words import LOCALES, WordLists

WORD = re.compile(r"[^\W_]+")
# Kinds of things that are called after people who have none of them: "Babinski sign", "Sharpe ratio", "Sherman Act".
KINDS = frozenset(
    [
        "sign",
        "signs",
        "reflex",
        "phenomenon",
        "criteria",
        "criterion",
        "classification",
        "scale",
        "maneuver",
        "maneuvers",
        "manoeuvre",
        "manoeuvres",
        "position",
        "palsy",
        "chorea",
        "ataxia",
        "dystrophy",
        "catheter",
        "catheters",
        "stain",
        "bodies",
        "nodules",
        "virus",
        "fever",
        "triad",
        "bacillus",
        "lymphoma",
        "sarcoma",
        "tumor",
        "tumour",
        "anemia",
        "anaemia",
        "disease",
        "diseases",
        "syndrome",
        "syndromes",
        "phenotype",
        "malformation",
        "dysplasia",
        "fracture",
        "procedure",
        "anastomosis",
        "contracture",
        "test",
        "respiration",
        "breathing",
        "rings",
        "lesions",
        "nodes",
        "cells",
        "exercises",
        "staging",
        "gland",
        "duct",
        "tendon",
        "ligament",
        "canal",
        "inventory",
        "questionnaire",
        "flap",
        "graft",
        "hernia",
        "deformity",
        "paralysis",
        "epilepsy",
        "needle",
        "forceps",
        "splint",
        "act",
        "acts",
        "amendment",
        "convention",
        "conventions",
        "treaty",
        "protocol",
        "doctrine",
        "injunction",
        "privilege",
        "deference",
        "plea",
        "warning",
        "statute",
        "directive",
        "covenant",
        "accords",
        "immunity",
        "ratio",
        "scheme",
        "coefficient",
        "duration",
        "curve",
        "bands",
        "equation",
        "theorem",
        "rule",
    ]
)
# Kinds that only count before a number or a letter: "Clark level IV", "Child-Pugh class B".
RANKED = frozenset(["class", "grade", "type", "level", "stage", "score", "category"])
RANK = re.compile(r"[ ](?:[IVX]{1,4}|\d{1,3}|[A-E])\b")
# Endings of Greek and Latin words for diseases, examinations and operations.
KIND_ENDS = re.compile(
    r"\w{5,}itis|\w{3,}(?:osis|opathy|ectomy|otomy|ostomy|plasty|scopy|graphy|cephaly|dactyly|plegia|trophy|plasia|algia|centesis|"
    r"pexy|plication)|\w{4,}emia"
)
# Kinds that a person can have: after a possessive 's, only a listed term stays.
OWNED = KINDS - frozenset(
    [
        "sign",
        "signs",
        "reflex",
        "phenomenon",
        "criteria",
        "classification",
        "scale",
        "maneuver",
        "manoeuvre",
        "triad",
        "rule",
    ]
)
# After "a" or "an" a name before a noun of the domain is a term ("a Tomlin order"), unless the noun is a person.
ARTICLE = re.compile(r"(?<!\w)[Aa]n?[ ]\Z")
PERSONS = re.compile(
    r"patient|client|customer|man|woman|boy|girl|child|baby|relative|friend|family|member|spouse|wife|husband|son|daughter|mother|"
    r"father|brother|sister|nurse|clerk|\w+(?:er|or|ist|ee|man|ian|ant)s?"
)
# Words that announce a person: "patient Kowalski disease progression".
KIN = re.compile(
    r"patient|client|customer|relative|friend|spouse|wife|husband|son|daughter|mother|father|brother|sister|nurse"
)
# Last words of a company's name that are common nouns as well: "National Insurance", "The Bank".
PUBLIC = frozenset({"bank", "insurance"})
# The inner capital of "MiFID" and "HbA1c", which no name has, unlike "McAdam" and "DeVries".
MIXED = re.compile(
    r"(?!(?:Mac|Mc|Fitz|De|Di|Du|Da|La|Le|Van|Von|San|St|O)[A-Z])[A-Z]?[a-z]+(?:[A-Z\d][a-z]*)*(?:[A-Z]{2,}|\d)\w*"
)
# Words of a firm's name that are nouns of a domain as well.
FIRMS = frozenset(
    {"bank", "banks", "center", "centre", "church", "clinic", "college", "company", "finance", "group", "hospital"}
    | {"insurance", "motors", "partners", "pharmacy", "practice", "resources", "school", "stores", "trust", "union"}
)
# Words after a family name that are nouns of a domain as well: "the SMITH family".
PEOPLE = frozenset(["family", "patient", "estate", "house", "brothers", "sisters", "child", "children"])
# Names of public code systems, and what a number of a law is called.
SYSTEMS = frozenset(["cpt", "dsm", "hcpcs", "icd", "loinc", "meddra", "opcs", "orpha", "rxnorm", "snomed"])
CITED = re.compile(
    r"articles?|sections?|rules?|parts?|chapters?|titles?|regulations?|schedules?|paragraphs?|clauses?|forms?"
)
ROMAN = re.compile(r"[IVX]{1,4}")
LOWER_BEFORE = re.compile(r"(?<!\w)([A-Za-z]+)[ ]\Z")
FIELD = re.compile(r"[ ](?:to|by|for):")
CLOSE = re.compile(r"(?:'s?)?[ \t]{1,2}|-|/|'s?")
GUESSED = frozenset({"PERSON", "LOCATION", "ORGANIZATION", "NRP", "USERNAME"})
NUMBERED = frozenset(
    {
        "PHONE_NUMBER",
        "ID_NUMBER",
        "POSTCODE",
        "DATE_TIME",
        "RECORD_NUMBER",
        "LOCATION",
        "ORGANIZATION",
        "PERSON",
        "STREET_ADDRESS",
    }
)
WORDS = 2**14  # words whose forms are remembered
GUESS = 0.3  # highest score of the language model and of the sweeps
ANNOUNCED = 0.5  # score of a name after a word such as "patient"
SURE = 0.6  # scores from which a number is never taken back
SHORT, LONG = 4, 6  # most characters of an abbreviation, and of one that is a word of the language or holds a digit


class Token(NamedTuple):
    """A word of a text: its form in our lists, and in small letters as the word lists of the language have it."""

    start: int
    end: int
    key: str
    word: str
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
        self._forms = lru_cache(WORDS)(self._forms_of)  # most words of a text are frequent ones
        self._titled = regex.compile(rf"\b{language.titles}\.?[ ]*\Z", FLAGS)

    def keep(self, text: str, findings: Sequence[Finding], sure: Sequence[Finding] = ()) -> tuple[Finding, ...]:
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
        tokens = list(self._tokens(text))
        named = _named(text, (*findings, *sure))
        nations = [(f.start, f.end) for f in findings if f.label == "NRP"]
        kept = {
            i
            for i, is_listed in self._terms_in(text, tokens)
            if not (tokens[i].is_capital and tokens[i].word in named)
            and (is_listed or not any(start < tokens[i].end and tokens[i].start < end for start, end in nations))
        }
        tokens = [self._surname(text, tokens, kept, i) for i in range(len(tokens))]
        values = self._numbers(text)
        return tuple(rest for f in findings for rest in self._rest(text, f, tokens, kept, values))

    def _tokens(self, text: str) -> Iterator[Token]:
        for match in WORD.finditer(text):
            word = match[0]
            if word in ("s", "S") and text[match.start() - 1 : match.start()] == "'":
                continue
            yield Token(match.start(), match.end(), *self._forms(word))

    def _forms_of(self, word: str) -> tuple[str, str, bool, bool]:
        """Return what a token holds of a word beside its place."""
        key = plain(word)
        # "Bašić" is not the word "basic".
        is_word = key in self._terms.words and (word.isascii() or not (self._lists and self._lists.is_spelt(key)))
        return key, word.casefold(), word[0].isupper(), is_word

    def _surname(self, text: str, tokens: Sequence[Token], kept: Collection[int], i: int) -> Token:
        """Return a word; as no word of the domain if it stands outside a term, capitalised right after a first name."""
        token, before = tokens[i], tokens[i - 1]
        if not (i and token.is_capital and token.is_word and before.is_capital and self._lists) or i in kept:
            return token
        is_name = i - 1 not in kept and not before.is_word and self._lists.is_name(before.word)
        return token._replace(is_word=False) if is_name and text[before.end : token.start] == " " else token

    def _terms_in(self, text: str, tokens: Sequence[Token]) -> Iterator[tuple[int, bool]]:
        """Yield the index of each word that belongs to a term with a name, and whether the term is listed."""
        for i, token in enumerate(tokens):
            if token.key in self._terms.starts:
                size = self._phrase(text, tokens, i)
                if size and not self._titled.search(text, max(0, token.start - 12), token.start):
                    yield from ((at, True) for at in range(i, i + size))
            if i and self._is_kind(text, token):
                yield from ((at, True) for at in self._named_after(text, tokens, i))
            elif i and token.is_word and not token.is_capital and not PERSONS.fullmatch(token.key):
                # "A Welsh patient record": what the language model takes for a nation is no name of a term there.
                yield from ((at, False) for at in self._after_article(text, tokens, i))
            if (token.key in SYSTEMS and token.is_capital) or self._ends_a_term(text, tokens, i):
                yield i, True
            if token.start == 0 or text[token.start - 1] == "\n":
                yield from ((at, True) for at in self._field(text, tokens, i))

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

    def _is_kind(self, text: str, token: Token) -> bool:
        if token.key in RANKED:
            return RANK.match(text, token.end) is not None
        return token.key in KINDS or (token.is_word and KIND_ENDS.fullmatch(token.key) is not None)

    def _after_article(self, text: str, tokens: Sequence[Token], i: int) -> Iterator[int]:
        """Yield one or two capitalised words between "a" or "an" and a word of the domain."""
        first = i
        while i - first < 2 and first and tokens[first - 1].is_capital and _is_close(text, tokens[first - 1], tokens[first]):
            first -= 1
        if first < i and ARTICLE.search(text, 0, tokens[first].start):
            yield from range(first, i)

    def _ends_a_term(self, text: str, tokens: Sequence[Token], i: int) -> bool:
        """Return whether a word of the language, with a capital, follows two such words of the domain: "Fixed Rate Bond"."""
        before = tokens[max(0, i - 2) : i]
        return (
            len(before) == 2
            and tokens[i].is_capital
            and self._lists is not None
            and self._lists.is_spelt(tokens[i].word)
            and all(t.is_word and t.is_capital and not PERSONS.fullmatch(t.key) for t in before)
            and text[before[0].end : before[1].start] == text[before[1].end : tokens[i].start] == " "
        )

    def _field(self, text: str, tokens: Sequence[Token], i: int) -> Iterator[int]:
        """Yield the word of a form's field, at the start of a line: "Bill to:"."""
        if tokens[i].is_word and FIELD.match(text, tokens[i].end):
            yield i

    def _named_after(self, text: str, tokens: Sequence[Token], i: int) -> Iterator[int]:
        """Yield the capitalised words right before a kind of thing, which is called after them."""
        first = i
        # "Warsaw breakage syndrome", "Billroth II anastomosis".
        if i > 1 and _is_close(text, tokens[i - 1], tokens[i]) and self._is_inner(text, tokens[i - 1]):
            first = i = i - 1
        while first and i - first < 3 and tokens[first - 1].is_capital and _is_close(text, tokens[first - 1], tokens[first]):
            first -= 1
        while first < i and self._is_common(tokens[first].word):
            first += 1
        hyphened = " " not in text[tokens[first].start : tokens[i - 1].end]
        if first == i or not hyphened or self._titled.search(text, max(0, tokens[first].start - 12), tokens[first].start):
            return
        if first and KIN.fullmatch(tokens[first - 1].key) and text[tokens[first - 1].end : tokens[first].start] == " ":
            return
        possessive = text[tokens[i - 1].end : tokens[i].start].startswith("'")
        if not (possessive and (tokens[i].key in OWNED or tokens[i].key not in KINDS)):
            yield from range(first, i + 1)

    def _is_inner(self, text: str, token: Token) -> bool:
        """Return whether a word may stand between the name and the kind in a term: a word of the domain, or a numeral."""
        plain_word = not token.is_capital and token.is_word and token.key not in KINDS and not PERSONS.fullmatch(token.key)
        is_function_word = token.word in self._function_words
        return (plain_word and not is_function_word) or ROMAN.fullmatch(text, token.start, token.end) is not None

    def _numbers(self, text: str) -> list[tuple[int, int]]:
        if not DIGIT_GROUP.search(text):
            return []
        found = [match.span() for form in numbers.HARMLESS for match in form.finditer(text)]
        for match in numbers.VALUED.finditer(text):
            key = match["name"].casefold()
            if not (self._lists and key in self._lists.places):
                found.append(match.span("number"))
        for match in numbers.COUNTED.finditer(text):
            if plain(match["name"]) in self._terms.words and not match["name"].istitle():
                found.append(match.span("number"))
        return found

    def _rest(
        self, text: str, finding: Finding, tokens: Sequence[Token], kept: set[int], values: Sequence[tuple[int, int]]
    ) -> Iterable[Finding]:
        """Return what remains of one finding."""
        is_number = finding.label in NUMBERED and finding.score < SURE and self._bare_numbers
        if is_number and any(start <= finding.start and finding.end <= end for start, end in values):
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
        """Return whether a name that a word announces ("patient"), or a company, has only words that are no names."""
        if finding.label == "PERSON":
            return all(is_kept or self._is_specific(t) or (t.is_word and not self._is_listed(t)) for t, is_kept in inside)
        return (
            finding.label == "ORGANIZATION"
            and all(is_kept or t.is_word or t.key == "the" for t, is_kept in inside)
            and (inside[-1][0].key in PUBLIC)
        )

    def _guess(
        self, text: str, finding: Finding, inside: Sequence[tuple[Token, bool]], values: Sequence[tuple[int, int]]
    ) -> Iterable[Finding]:
        """Return what remains of a finding that the language model or a sweep made."""
        short = [self._is_abbreviation(text, finding, t) for t, _ in inside]
        left = [
            t for (t, is_kept), s in zip(inside, short, strict=True) if not (is_kept or s or self._is_harmless(t, values))
        ]
        if not left:
            return () if self._is_known(text, finding, inside, short) else (finding,)
        left = [t for t, is_kept in inside if not is_kept and not self._is_specific(t)]
        if not left or len(left) == len(inside):
            return (finding,) if left else ()
        return (replace(finding, start=max(finding.start, left[0].start), end=min(finding.end, left[-1].end)),)

    def _is_known(self, text: str, finding: Finding, inside: Sequence[tuple[Token, bool]], short: Sequence[bool]) -> bool:
        """Return whether the words of a guess, which all are harmless alone, are no name together either."""
        if any(is_kept or self._is_specific(t) for t, is_kept in inside) or all(short):
            return True
        if len(inside) == 1 and finding.label == "ORGANIZATION":
            token = inside[0][0]
            listed = self._lists and (token.word in self._lists.locales or token.word in self._lists.places)
            return not listed or self._is_adjective(text, token)
        words = all(
            s or t.is_word or len(t.key) < 2 or t.word in self._function_words or t.key.isdigit()
            for (t, _), s in zip(inside, short, strict=True)
        ) or self._is_term(finding, inside)
        place = self._lists is not None and " ".join(t.word for t, _ in inside) in self._lists.places
        names = (t for t, _ in inside if t.is_capital and len(t.key) > 1 and t.word not in self._function_words)
        return words and not place and not any(map(self._is_listed, names))

    def _is_term(self, finding: Finding, inside: Sequence[tuple[Token, bool]]) -> bool:
        """Return whether a name is a term of common words with a noun of the domain as its head.

        The head is the last word, or the word before "of": "Early Repayment Charge", "Statute of Limitations". A firm of
        common words has another head ("General Electric"), or one that many firms have ("Premier Clinic").
        """
        listed = self._lists is not None and any(t.word in self._lists.locales for t, _ in inside)
        if len(inside) < 2 or finding.label not in ("ORGANIZATION", "PERSON") or (finding.label == "PERSON" and listed):
            return False
        heads = [t for (t, _), (after, _) in pairwise(inside) if after.word == "of"] + [inside[-1][0]]
        return any(t.is_word or CITED.fullmatch(t.word) for t in heads) and all(t.key not in FIRMS for t in heads)

    def _is_adjective(self, text: str, token: Token) -> bool:
        """Return whether a word of the domain stands right before another, as a brand does: "Visa card"."""
        after = WORD.match(text, token.end + 1) if text[token.end : token.end + 1] == " " else None
        return token.is_word and after is not None and after[0].islower() and plain(after[0]) in self._terms.words - PEOPLE

    def _is_abbreviation(self, text: str, finding: Finding, token: Token) -> bool:
        """Return whether a word is an abbreviation, which a language model takes for an organisation or a person."""
        word = text[token.start : token.end]
        if finding.label not in ("ORGANIZATION", "PERSON", "NRP", "LOCATION"):
            return False
        if word.isascii() and word.isupper() and 2 <= len(word) <= LONG and self._is_used_as_noun(text, token):
            return True
        if self._lists and (token.word in self._lists.places or self._lists.is_name(token.word)):
            return False
        known = token.is_word or bool(self._lists and self._lists.is_spelt(token.word)) or any(map(str.isdigit, word))
        is_short = word.isascii() and word.isupper() and 2 <= len(word) <= (LONG if known else SHORT)
        return is_short or MIXED.fullmatch(word) is not None

    def _is_used_as_noun(self, text: str, token: Token) -> bool:
        """Return whether a word in capitals in a usual text is no name: "the IBAN is", "an ISA", "HELOC rates"."""
        if text.isupper() or self._titled.search(text, max(0, token.start - 12), token.start):
            return False
        after = WORD.match(text, token.end + 1) if text[token.end : token.end + 1] == " " else None
        before = LOWER_BEFORE.search(text, max(0, token.start - 16), token.start)
        verb = after is not None and after[0].islower() and after[0] not in self._function_words
        article = before is not None and before[1].lower() in ("the", "a", "an", "this", "any", "no", "each")
        if after is not None and (not after[0].islower() or plain(after[0]) in PEOPLE):
            return False
        return article or (verb and after is not None and plain(after[0]) in self._terms.words)

    def _is_listed(self, token: Token) -> bool:
        """Return whether a word is a name of persons in several countries, or of a place."""
        return bool(self._lists and (self._lists.locales.get(token.word, 0) >= LOCALES or token.word in self._lists.places))

    def _is_harmless(self, token: Token, values: Sequence[tuple[int, int]]) -> bool:
        if token.is_word or self._is_common(token.word, token.is_capital) or (token.key.isdigit() and len(token.key) < 4):
            return True
        return any(start <= token.start and token.end <= end for start, end in values)

    def _is_specific(self, token: Token) -> bool:
        """Return whether a word is of the domain only, so that it cannot be a part of a name."""
        if self._is_listed(token):
            return False
        return KIND_ENDS.fullmatch(token.key) is not None or (
            token.is_word and not (self._lists and self._lists.is_spelt(token.word))
        )

    def _is_common(self, word: str, capital: bool = False) -> bool:
        return len(word) < 2 or word in self._function_words or bool(self._lists and self._lists.is_common(word, capital))


def _named(text: str, findings: Iterable[Finding]) -> set[str]:
    """Return the casefolded words of the persons that findings name for sure."""
    sure = (f for f in findings if f.label == "PERSON" and f.score > ANNOUNCED)
    return {word.casefold() for f in sure for word in WORD.findall(text[f.start : f.end])}


def _start(token: Token) -> int:
    return token.start


def _end(token: Token) -> int:
    return token.end


def _is_close(text: str, left: Token, right: Token) -> bool:
    return CLOSE.fullmatch(text, left.end, right.start) is not None
