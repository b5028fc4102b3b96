"""Compare the measured quality of a site's anonymisation with the site's own thresholds for joining a round."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from privacy.leakage.recall import Recall
from shared.config.anonymise import GateSection
from shared.errors import DataError

if TYPE_CHECKING:
    from privacy.leakage.assessment import Assessment


class GateFailed(DataError):
    """Raised if a site's anonymisation fails the site's own gate; the server learns only the name of this class."""


@dataclass(frozen=True)
class Check:
    """One threshold, the measured value (None if nothing could be measured), and whether the check passes."""

    name: str
    threshold: float
    measured: float | None
    passed: bool


def checks(gate: GateSection, found: "Assessment") -> tuple[Check, ...]:
    """Compare an assessment with the gate.

    A recall is compared by the lower end of its interval, so that a small sample does not pass by luck; the recall of
    identifiers with a checksum is compared by its value. Labelled records are checked only if there are any. Two checks
    limit what the texts lose: the share of all letters and digits that is replaced, and, in labelled records, the share of
    those that are no personal data.

    Parameters
    ----------
    gate
        The site's thresholds.
    found
        What was measured at the site.
    """
    return tuple(_checks(gate, found))


def require(verdict: Iterable[Check], site: str) -> None:
    """Refuse to continue unless every check passes.

    Parameters
    ----------
    verdict
        The checks of a gate.
    site
        Name of the site, for the message.

    Raises
    ------
    GateFailed
        At least one check does not pass; the sentence names each such check, with shares only.
    """
    failed = [check for check in verdict if not check.passed]
    if failed:
        said = ", ".join(f"{c.name} = {c.measured:.3f} (needs {c.threshold:g})" for c in failed if c.measured is not None)
        raise GateFailed(
            f"site {site}: anonymisation does not pass the site's gate: {said}; set a stricter anonymise.level or correct "
            "the data, and see hushtune anonymise --report"
        )


def _checks(gate: GateSection, found: "Assessment") -> Iterator[Check]:
    low = {
        "planted_recall": (gate.min_planted_recall, found.planted.direct),
        "labelled_recall": (gate.min_labelled_recall, found.labelled.direct if found.labelled else Recall(0, 0)),
    }
    for name, (threshold, recall) in low.items():
        measured = recall.interval().low if recall.total else None
        yield Check(name, threshold, measured, measured is None or measured >= threshold)
    exact = found.checksummed
    value = exact.interval().value if exact.total else None
    yield Check(
        "checksummed_recall", gate.min_checksummed_recall, value, value is None or value >= gate.min_checksummed_recall
    )
    shares = {
        "residual": (gate.max_residual, found.residual),
        "quarantined": (gate.max_quarantined, found.quarantined),
        "replaced": (gate.max_replaced, found.replaced),
        "over_redaction": (gate.max_over_redaction, found.labelled.harmless if found.labelled else Recall(0, 0)),
    }
    for name, (threshold, part) in shares.items():
        share = part.interval().value
        yield Check(name, threshold, share, share <= threshold)
