"""Whether what a model wrote may stand for a scrubbed text: by fixed public rules, and by the site's own scrubber.

A model invents names, dates and numbers, and it answers a text where it should reword it. What it wrote is kept only where
the scrubber finds in it what it finds in the scrubbed text too, and nothing else. Each text is judged alone.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from privacy.anonymise.scrubbed import Quarantined
from privacy.anonymise.scrubber import Scrubber
from shared.config.anonymise import AnonymiseSection
from shared.records.types import RawRecord

SHORTEST, LONGEST = 0.5, 1.5  # of the text's own length, in characters
LONG_WORD = 4  # letters of a word that tells what a text is about
SHARED = 0.25  # of a text's long words, which must come again
TAG = re.compile(r"<[A-Z][A-Z_]*(?:_\d{1,3})?>")
WORD = re.compile(rf"[^\W\d_]{{{LONG_WORD},}}")


class Flaw(StrEnum):
    """Why a wording is dropped; a closed list, so that a count of reasons can be printed."""

    EMPTY = "empty"
    UNFINISHED = "unfinished"
    SAME = "same"
    SHORTER = "shorter"
    LONGER = "longer"
    TAGS = "tags"
    STRAYED = "strayed"
    PERSONAL = "personal"


@dataclass(frozen=True)
class Verdict:
    """A wording that may stand for its text, or the flaw for which it is dropped."""

    flaw: Flaw | None
    wording: str = field(repr=False, default="")

    @property
    def kept(self) -> str | None:
        """The wording, or None where it was dropped."""
        return None if self.flaw else self.wording


class Judge:
    """Judges what a model wrote with one scrubber, which it builds once.

    Raises:
        ModelError: the folder holds no usable spaCy model.
    """

    def __init__(self, section: AnonymiseSection, folder: Path) -> None:
        tagging = section.model_copy(update={"operator": "tag", "dates": "replace"})  # what it found is what is asked here
        self._scrubber = Scrubber(tagging, folder)

    def verdicts(self, text: str, wordings: list[str | None]) -> list[Verdict]:
        """A verdict on each wording of a text; None is one that the model did not end."""
        found: list[Verdict] = []
        for wording in wordings:
            earlier = [verdict.wording for verdict in found if not verdict.flaw]
            flaw = flaw_of(text, wording, earlier)
            found.append(Verdict(flaw) if flaw or wording is None else self._read(text, wording))
        return found

    def _read(self, text: str, wording: str) -> Verdict:
        """The verdict of the scrubber, which reads the text and its wording apart from all others."""
        asked, written = self._scrubber.examine([RawRecord({"text": each}) for each in (text, wording)])
        if isinstance(asked, Quarantined) or isinstance(written, Quarantined):
            return Verdict(Flaw.PERSONAL)
        if {*map(_plain, asked.originals.values())} != {*map(_plain, written.originals.values())}:
            return Verdict(Flaw.PERSONAL)
        return Verdict(None, written.prepared.texts["text"])


def flaw_of(text: str, wording: str | None, earlier: list[str]) -> Flaw | None:
    """What speaks against a wording by the fixed rules alone; ``earlier`` are wordings of the text that are kept."""
    if wording is None:
        return Flaw.UNFINISHED
    if not wording.strip():
        return Flaw.EMPTY
    if _plain(wording) in {_plain(other) for other in (text, *earlier)}:
        return Flaw.SAME
    if not SHORTEST * len(text) <= len(wording) <= LONGEST * len(text):
        return Flaw.SHORTER if len(wording) < len(text) else Flaw.LONGER
    if {*TAG.findall(text)} != {*TAG.findall(wording)}:
        return Flaw.TAGS
    about, said = ({*WORD.findall(TAG.sub(" ", each).casefold())} for each in (text, wording))
    return Flaw.STRAYED if len(about & said) < SHARED * len(about) else None


def _plain(text: str) -> str:
    """Letters and digits alone, whatever the case."""
    return "".join(filter(str.isalnum, text.casefold())) or text
