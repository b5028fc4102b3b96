"""Read the lists of words and phrases of a domain.

Each list is a compressed text of three parts with an empty line between them: words that are no names, phrases that hold a
word which is a name elsewhere, and words that occur only in such phrases and on no list of names. ``bench/vocabulary.py``
makes the lists; SOURCES.md beside them names the sources and their licences.
"""

import gzip
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

FOLDER = Path(__file__).parent
LONGEST = 6  # most words of a phrase
WORD = re.compile(r"[^\W_]+")
# The spellings of one word: "oesophagus" and "esophagus", "Sjögren" and "Sjogren".
DIGRAPHS = re.compile(r"(?<=\w)[oa]e|[oa]e(?=[a-z]{4})")
# Last words of the names of scales: "Gleason score", "Killip class".
SCALES = frozenset(
    {"class", "classification", "criteria", "grade", "index", "level", "scale", "score", "scores", "scoring", "stage"}
    | {"staging", "system", "thickness"}
)
# The language of the vocabularies of all domains.
VOCABULARY_LANGUAGE = "en"


def plain(word: str) -> str:
    """Return a word in the form in which the lists hold words: small letters, no accents, "e" for "ae" and "oe"."""
    small = word.casefold()
    if not small.isascii():
        small = "".join(c for c in unicodedata.normalize("NFD", small) if not unicodedata.combining(c))
    return DIGRAPHS.sub("e", small)


def tokens(term: str) -> list[str]:
    """Return the words of a term in the form of the lists, without a possessive 's."""
    return [plain(word) for word in WORD.findall(re.sub(r"['\u2019]s?\b", "", term))]


@dataclass(frozen=True)
class Terms:
    """Words and phrases of some domains.

    Attributes
    ----------
    words
        Words that are no names.
    phrases
        Terms of two words or more that hold a name, with single spaces between their words.
    starts
        The first words of the phrases.
    eponyms
        Words that things are called after and that are on no list of names ("chvostek"), and abbreviations that are names in
        small letters, in capitals ("SONIA").
    scales
        The words that scales and scores are called after: "braden".
    pairs
        The beginnings of phrases, of two words or more, so that a term is known without its kind: "Zollinger-Ellison".
    """

    words: frozenset[str]
    phrases: frozenset[str]
    starts: frozenset[str]
    eponyms: frozenset[str]
    pairs: frozenset[str]
    scales: frozenset[str]

    @classmethod
    def of(cls, domains: Iterable[str], own: Iterable[str] = ()) -> Self:
        """Read the lists of some domains, and add a site's own harmless words and terms.

        Parameters
        ----------
        domains
            Names of lists, such as ``medical``.
        own
            Words and terms that are harmless at this site; a word counts wherever it stands, even if it is a name elsewhere.
        """
        words: set[str] = set()
        phrases: set[str] = set()
        eponyms: set[str] = set()
        for domain in domains:
            parts = gzip.decompress((FOLDER / f"{domain}.txt.gz").read_bytes()).decode().split("\n\n")
            for known, part in zip((words, phrases, eponyms), parts, strict=True):
                known.update(part.split("\n"))
        for row in map(tokens, own):
            if len(row) == 1:
                words.update(row)
            elif row:
                phrases.add(" ".join(row[:LONGEST]))
        for known in (words, phrases, eponyms):
            known.discard("")
        rows = [phrase.split(" ") for phrase in phrases]
        pairs = {" ".join(row[:size]) for row in rows for size in range(2, len(row))}
        starts = frozenset(row[0] for row in rows)
        scales = frozenset(row[0] for row in rows if row[-1] in SCALES and len(row) < 4 and len(row[0]) > 3)
        return cls(frozenset(words), frozenset(phrases), starts, frozenset(eponyms), frozenset(pairs), scales)
