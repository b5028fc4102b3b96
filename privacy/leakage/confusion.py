"""Compare the kinds of true spans with the kinds under which they were found."""

from collections import Counter
from collections.abc import Iterable, Sequence

from privacy.detect.findings import Finding
from privacy.leakage.recall import Recall
from privacy.leakage.score import Marked
from privacy.leakage.span_evaluator import SAME_AS
from shared.records.types import Span

MISSED = "(missed)"
HARMLESS = "(harmless)"


def confusion(marked: Iterable[Marked]) -> dict[str, dict[str, int]]:
    """Count the true spans by their kind and by the kind of the finding that covers most of each.

    A span that no finding touches counts as ``MISSED``. A finding that touches no true span counts in the row
    ``HARMLESS``. Kinds of public data sets have our names.

    Parameters
    ----------
    marked
        Texts with their true spans and findings.
    """
    counts: dict[str, Counter[str]] = {}
    for one in marked:
        for span in one.spans:
            counts.setdefault(_kind(span.label), Counter())[_found_as(span, one.findings)] += 1
        for finding in one.findings:
            if not any(_shared(span, finding) for span in one.spans):
                counts.setdefault(HARMLESS, Counter())[_kind(finding.label)] += 1
    return {true: dict(sorted(found.items())) for true, found in sorted(counts.items())}


def touched(marked: Iterable[Marked]) -> Recall:
    """Count the marked terms of which findings cover any letter or digit.

    Parameters
    ----------
    marked
        Texts whose spans are terms that must stay.
    """
    hits = [
        any(one.text[at].isalnum() for f in one.findings for at in range(max(f.start, s.start), min(f.end, s.end)))
        for one in marked
        for s in one.spans
    ]
    return Recall(sum(hits), len(hits))


def _found_as(span: Span, findings: Sequence[Finding]) -> str:
    best = max(findings, key=lambda finding: _shared(span, finding), default=None)
    return _kind(best.label) if best and _shared(span, best) else MISSED


def _shared(span: Span, finding: Finding) -> int:
    """Return how many characters a true span and a finding share."""
    return max(0, min(span.end, finding.end) - max(span.start, finding.start))


def _kind(label: str) -> str:
    return SAME_AS.get(label, label)
