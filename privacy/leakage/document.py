"""Convert an assessment of a site's anonymisation to plain values for JSON."""

from dataclasses import asdict
from typing import Any

from privacy.leakage.assessment import Assessment
from privacy.leakage.gate import checks
from privacy.leakage.score import LeakScore
from shared.config.anonymise import GateSection


def document(found: Assessment, gate: GateSection) -> dict[str, Any]:
    """Return the assessment as plain values, with the verdict of a gate.

    Parameters
    ----------
    found
        What was measured at the site.
    gate
        The site's own thresholds.
    """
    verdict = checks(gate, found)
    return {
        "passed": all(check.passed for check in verdict),
        "checks": [asdict(check) for check in verdict],
        "records": found.records,
        "quarantined": found.quarantined.row(),
        "quarantine_reasons": dict(found.reasons),
        "entities": dict(found.entities),
        "replaced": found.replaced.row(),
        "planted": _scored(found.planted),
        "labelled": _scored(found.labelled) if found.labelled else None,
        "span_evaluator": {str(o): {label: asdict(s) for label, s in by.items()} for o, by in found.spans.items()},
        "residual": {**found.residual.row(), "types": dict(found.residual_types)},
        "versions": dict(found.versions),
    }


def _scored(score: LeakScore) -> dict[str, Any]:
    return {
        "character_recall": score.characters.row(),
        "whole_spans": score.whole.row(),
        "direct_identifiers": score.direct.row(),
        "leak_free_records": score.documents.row(),
        "over_redaction": score.harmless.row(),
        "precision": score.precision,
        "f2": score.f2,
        "by_label": {label: recall.row() for label, recall in score.spans.items()},
    }
