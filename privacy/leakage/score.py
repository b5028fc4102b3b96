"""Score how much known personal data would leak; a finding counts whatever its type."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from privacy.detect.findings import Finding, is_covered
from privacy.leakage.recall import Recall, merge_recalls, overall
from shared.records.types import Span

# Types that do not identify a person by themselves; the others are direct identifiers.
INDIRECT = frozenset({"ORGANIZATION", "DATE_TIME", "TITLE", "AGE", "NRP"})
BETA = 2.0  # weight of recall against precision in the F-measure


@dataclass(frozen=True)
class Marked:
    """A text with its true spans and its findings."""

    text: str = field(repr=False)
    spans: Sequence[Span]
    findings: Sequence[Finding]


@dataclass(frozen=True)
class LeakScore:
    """Counts over some texts.

    Attributes
    ----------
    characters
        Letters and digits of true spans that are covered.
    spans
        True spans that are covered whole, by label.
    documents
        Texts with personal data that leak none of it.
    harmless
        Letters and digits outside true spans that are covered too.
    """

    characters: Recall
    spans: dict[str, Recall]
    documents: Recall
    harmless: Recall

    @property
    def whole(self) -> Recall:
        """Return the recall of true spans covered whole."""
        return overall(self.spans)

    @property
    def direct(self) -> Recall:
        """Return the recall of direct identifiers covered whole."""
        return overall({label: recall for label, recall in self.spans.items() if label not in INDIRECT})

    @property
    def precision(self) -> float:
        """Return the share of covered letters and digits that are personal data; 1 if none are covered."""
        covered = self.characters.found + self.harmless.found
        return self.characters.found / covered if covered else 1.0

    @property
    def f2(self) -> float:
        """Return the F-measure by characters in which recall counts twice as much as precision (van Rijsbergen 1979)."""
        recall = self.characters.found / self.characters.total if self.characters.total else 1.0
        below = BETA**2 * self.precision + recall
        return (1 + BETA**2) * self.precision * recall / below if below else 0.0


def leak_score(marked: Iterable[Marked]) -> LeakScore:
    """Score texts; a text without true spans counts only for ``harmless``."""
    characters = documents = harmless = Recall(0, 0)
    found: list[dict[str, Recall]] = []
    for one in marked:
        places = {place for place, character in enumerate(one.text) if character.isalnum()}
        true = {place for span in one.spans for place in range(span.start, span.end)} & places
        covered = {place for finding in one.findings for place in range(finding.start, finding.end)} & places
        characters += Recall(len(true & covered), len(true))
        harmless += Recall(len(covered - true), len(places - true))
        documents += Recall(int(true <= covered), 1) if true else Recall(0, 0)
        found += ({span.label: Recall(int(is_covered(one.text, span, one.findings)), 1)} for span in one.spans)
    return LeakScore(characters, merge_recalls(found), documents, harmless)
