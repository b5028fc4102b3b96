"""Make counterfactual texts: with gendered words exchanged, or with first names of another group.

The lists were written for this package; they are short and in English. Evaluation counts how often an answer changes for
such a text, and training uses such texts as views of a record.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from shared.records.types import Record

Swap = Literal["gender", "names"]

PAIRS: tuple[tuple[str, ...], ...] = tuple(
    tuple(pair.split())
    for line in """
    he she; himself herself; his her; man woman; men women; boy girl; boys girls; father mother; fathers mothers; dad mum
    son daughter; sons daughters; brother sister; brothers sisters; husband wife; uncle aunt; nephew niece; grandpa grandma
    grandfather grandmother; grandson granddaughter; mr mrs; sir madam; gentleman lady; gentlemen ladies; king queen
    prince princess; actor actress; waiter waitress; boyfriend girlfriend; male female; males females; widower widow
    guy gal; policeman policewoman; chairman chairwoman; businessman businesswoman; salesman saleswoman; groom bride
    stepfather stepmother; host hostess
    """.strip().splitlines()
    for pair in line.split(";")
)
COUNTERPARTS: Mapping[str, str] = {
    **{here: there for pair in PAIRS for here, there in (pair, pair[::-1])},
    "him": "her",
    "hers": "his",
}
NAMES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # women's and men's
    "english": (
        ("Emily", "Sarah", "Claire", "Anne", "Alice", "Rachel", "Laura", "Megan"),
        ("Jack", "Oliver", "Thomas", "Geoffrey", "Matthew", "Brendan", "Todd", "Neil"),
    ),
    "other": (
        ("Fatima", "Aisha", "Ngozi", "Mei", "Lakshmi", "Yolanda", "Agnieszka", "Leila"),
        ("Mohammed", "Kofi", "Jamal", "Wei", "Rajesh", "Diego", "Hakim", "Darnell"),
    ),
}
PLACES: Mapping[str, tuple[int, int]] = {  # each known name: the number of its gender, and its place in that list
    name: (gender, place) for both in NAMES.values() for gender, names in enumerate(both) for place, name in enumerate(names)
}
WORD = re.compile(r"[A-Za-z]+")
PERSON = re.compile(r"<PERSON(?:_(\d+))?>")  # the anonymiser's tag
# Words that cannot be owned: "her" before one of them means "him", not "his".
AFTER_OBJECT = re.compile(
    r"and|or|but|to|for|with|at|in|on|from|that|who|when|if|because|as|again|about|by|so|too", re.IGNORECASE
)


def sides(record: Record, swap: Swap) -> tuple[Record, Record]:
    """Return two versions of a record: unchanged and with the other gender, or with the names of two groups.

    All fields change together, so that a response speaks of the same person as its instruction.
    """
    if swap == "gender":
        return record, _rewritten(record, with_other_gender)
    one, other = (_rewritten(record, partial(with_names_of, group=group)) for group in NAMES)
    return one, other


def counterparts(record: Record, swaps: Sequence[Swap]) -> list[Record]:
    """Return the record itself, then every different version of it that the kinds of swap give.

    A kind of swap is applied to all versions that the kinds before it gave, so that every gender gets the names of every
    group. The versions depend on the record's own text only.

    Parameters
    ----------
    record
        A scrubbed record.
    swaps
        Kinds of change, in the order in which they are applied.
    """
    found = [record]
    for swap in swaps:
        for side in [side for known in found for side in sides(known, swap)]:
            if all(side.fields != known.fields for known in found):
                found.append(side)
    return found


def _rewritten(record: Record, change: Callable[[str], str]) -> Record:
    return replace(record, fields={name: change(text) for name, text in record.fields.items()})


def with_other_gender(text: str) -> str:
    """Return the text with gendered words exchanged.

    English has ``her`` for both ``him`` and ``his``: ``her`` becomes ``his`` before a word that can be owned.
    """
    found = list(WORD.finditer(text))
    pieces, last = [], 0
    for place, match in enumerate(found):
        following = found[place + 1] if place + 1 < len(found) else None
        between = text[match.end() : following.start()] if following else ""
        owned = following is not None and between == " " and not AFTER_OBJECT.fullmatch(following[0])
        pieces += [text[last : match.start()], _in_case(_exchanged(match[0].lower(), owned), match[0])]
        last = match.end()
    return "".join(pieces) + text[last:]


def with_names_of(text: str, group: str) -> str:
    """Replace each known first name and each ``<PERSON>`` tag in a text by a name of a group in ``NAMES``.

    A name is replaced by the name of the same gender at the same place in the group's list; the number of a tag selects the
    name for the tag.

    Parameters
    ----------
    text
        A scrubbed or public text.
    group
        A key of ``NAMES``.
    """
    women, men = NAMES[group]

    def named(match: re.Match[str]) -> str:
        place = PLACES.get(match[0])
        return match[0] if place is None else NAMES[group][place[0]][place[1]]

    tagged = PERSON.sub(lambda match: _numbered((*women, *men), int(match[1] or 1)), text)
    return WORD.sub(named, tagged)


def _numbered(names: Sequence[str], number: int) -> str:
    """Return the name for a tag's number; the step of 5 mixes genders, and 16 names repeat only after 16 numbers."""
    return names[(5 * number) % len(names)]


def _exchanged(word: str, owned: bool) -> str:
    """Return the word's counterpart, or the word itself; both in lower case."""
    if word == "her":
        return "his" if owned else "him"
    return COUNTERPARTS.get(word, word)


def _in_case(word: str, like: str) -> str:
    """Return a word in the capitals of the word that it replaces; an unchanged word stays as it was written."""
    if word == like.lower():
        return like
    return word.upper() if like.isupper() and len(like) > 1 else word.capitalize() if like[0].isupper() else word
