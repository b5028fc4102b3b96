"""Rewrite texts as they would read of another person: with gendered words exchanged, or with names of another group.

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
PLACES: Mapping[str, tuple[int, int]] = {  # each known name: its gender and its place there
    name: (gender, place) for both in NAMES.values() for gender, names in enumerate(both) for place, name in enumerate(names)
}
WORD = re.compile(r"[A-Za-z]+")
PERSON = re.compile(r"<PERSON(?:_(\d+))?>")  # the anonymiser's tag
AFTER_OBJECT = re.compile(
    r"and|or|but|to|for|with|at|in|on|from|that|who|when|if|because|as|again|about|by|so|too", re.IGNORECASE
)


def sides(record: Record, swap: Swap) -> tuple[Record, Record]:
    """Return two readings of a record: as it is and of the other gender, or with names of two groups.

    Every field changes, so that a response speaks of the same person as its instruction.

    Parameters
    ----------
    record
        A scrubbed record.
    swap
        The kind of change.
    """
    if swap == "gender":
        return record, _rewritten(record, with_other_gender)
    one, other = (_rewritten(record, partial(with_names_of, group=group)) for group in NAMES)
    return one, other


def counterparts(record: Record, swaps: Sequence[Swap]) -> list[Record]:
    """Return the record itself, then every other reading of it that the kinds of swap give, each once.

    A kind of swap is applied to all readings that the kinds before it gave, so that every gender has the names of every
    group. The readings depend on the record's own text only.

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
    """Return the text with a name of a group in ``NAMES`` for each known first name and each tag of a person.

    The new name has the gender and the place in the lists of the old one; a tag takes the name of its number.
    """
    women, men = NAMES[group]

    def named(match: re.Match[str]) -> str:
        place = PLACES.get(match[0])
        return match[0] if place is None else NAMES[group][place[0]][place[1]]

    tagged = PERSON.sub(lambda match: _numbered((*women, *men), int(match[1] or 1)), text)
    return WORD.sub(named, tagged)


def _numbered(names: Sequence[str], number: int) -> str:
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
