"""Decide whether a model's paraphrase ("wording") of a scrubbed text is kept.

A model may invent names, dates and numbers, or answer a text instead of rewording it. So a wording must pass fixed public
rules, and the site's own scrubber must find the same personal data in the wording as in the text. The decision on one text
does not depend on any other text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from privacy.anonymise.polyglot import Polyglot
from privacy.anonymise.scrubbed import Quarantined
from shared.config.anonymise import AnonymiseSection
from shared.records.types import RawRecord

SHORTEST, LONGEST = 0.5, 1.5  # length of a wording in characters, as a multiple of its text's
SHARED = 0.25  # share of a text's words of 4 letters or more that its wording must repeat
TAG = re.compile(r"<[A-Z][A-Z_]*(?:_\d{1,3})?>")
WORD = re.compile(r"[^\W\d_]{4,}")


class Flaw(StrEnum):
    """Why a wording is dropped; a closed list, so that a count of reasons can be printed."""

    UNFINISHED = "unfinished"
    EMPTY = "empty"
    SAME = "same"  # as the text or an earlier wording, up to case and punctuation
    SHORTER = "shorter"
    LONGER = "longer"
    TAGS = "tags"  # a tag was lost or added
    STRAYED = "strayed"  # it repeats too few of the text's words
    PERSONAL = "personal"  # it contains other personal data than the text


@dataclass(frozen=True)
class Verdict:
    """A wording that is accepted, or the flaw for which it is dropped."""

    flaw: Flaw | None
    wording: str = field(repr=False, default="")


def judge_of(section: AnonymiseSection) -> Polyglot:
    """Return the scrubber that checks wordings: the site's own, but with numbered tags instead of surrogates or redaction.

    Raises
    ------
    ModelError
        The section's spaCy model cannot be found or loaded.
    """
    return Polyglot(section.model_copy(update={"operator": "tag", "dates": "replace"}))


def verdicts(judge: Polyglot, text: str, wordings: Sequence[str | None]) -> list[Verdict]:
    """Return a verdict on each wording of a text; None is a wording that the model did not finish."""
    found: list[Verdict] = []
    for wording in wordings:
        flaw = flaw_of(text, wording, [verdict.wording for verdict in found if not verdict.flaw])
        found.append(Verdict(flaw) if flaw or wording is None else _read(judge, text, wording))
    return found


def flaw_of(text: str, wording: str | None, earlier: Sequence[str]) -> Flaw | None:
    """Return the flaw of a wording by the fixed rules, or None; ``earlier`` are the accepted wordings of the same text."""
    if wording is None:
        return Flaw.UNFINISHED
    if not wording.strip():
        return Flaw.EMPTY
    if _letters(wording) in map(_letters, (text, *earlier)):
        return Flaw.SAME
    if not SHORTEST * len(text) <= len(wording) <= LONGEST * len(text):
        return Flaw.SHORTER if len(wording) < len(text) else Flaw.LONGER
    if {*TAG.findall(text)} != {*TAG.findall(wording)}:
        return Flaw.TAGS
    about, said = ({*WORD.findall(TAG.sub(" ", each).casefold())} for each in (text, wording))
    return Flaw.STRAYED if len(about & said) < SHARED * len(about) else None


def _read(judge: Polyglot, text: str, wording: str) -> Verdict:
    """Return the verdict of the scrubber, which must find the same values in the text and in its wording."""
    found = judge.examine([RawRecord({"text": each}) for each in (text, wording)])
    values = [
        None if isinstance(one, Quarantined) else {_letters(value) for value in one.originals.values()} for one in found
    ]
    if isinstance(found[1], Quarantined) or values[0] != values[1]:
        return Verdict(Flaw.PERSONAL)
    return Verdict(None, found[1].prepared.texts["text"])


def _letters(text: str) -> str:
    """Return the casefolded letters and digits of a text."""
    return "".join(filter(str.isalnum, text.casefold())) or text
