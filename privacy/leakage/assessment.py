"""What a site learns about its own anonymisation before it joins a round: counts and intervals, never text."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from privacy.anonymise.outcome import Quarantined
from privacy.anonymise.scrubber import Clean, Scrubber
from privacy.detect.second_recogniser import load_detector
from privacy.detect.spacy_models import locate, locate_second
from privacy.detect.words import load_words
from privacy.leakage.gate import checks
from privacy.leakage.planted import CHECKSUMMED, Planter
from privacy.leakage.recall import Recall, overall
from privacy.leakage.residual import StockPresidio, residual
from privacy.leakage.score import LeakScore, Marked, leak_score
from privacy.leakage.span_evaluator import SpanScore, is_installed, span_scores
from shared.config.anonymise import AnonymiseSection, GateSection
from shared.models.wheels import sha256_file
from shared.records.types import RawRecord

OVERLAPS = (0.9, 0.7)
CHUNK = 64
# So many that the interval of a recall is narrow however few records there are; 30 of each of the 9 kinds.
PLANTED = 270


@dataclass(frozen=True)
class Assessment:
    """Measures of one site. ``labelled`` is None without true spans; ``spans`` is empty without the evaluator.

    ``spans`` holds scores by type for each overlap. ``residual`` counts texts in which the second detector still
    finds something, ``quarantined`` those held back.
    """

    records: int
    entities: Mapping[str, int]
    reasons: Mapping[str, int]
    quarantined: Recall
    labelled: LeakScore | None
    spans: Mapping[float, Mapping[str, SpanScore]]
    planted: LeakScore
    residual: Recall
    residual_types: Mapping[str, int]
    versions: Mapping[str, str]

    @property
    def checksummed(self) -> Recall:
        """Planted numbers that a rule can be sure of."""
        return overall({label: recall for label, recall in self.planted.spans.items() if label in CHECKSUMMED})


def assess(
    section: AnonymiseSection,
    records: Sequence[RawRecord],
    seed: int,
    progress: Callable[[int], None] | None = None,
    published: bool = True,
) -> Assessment:
    """Scrub the records and copies with planted data, and look at the result with a second detector.

    Nothing is kept. ``progress`` is called with the number of further texts done, of ``PLANTED`` more than ``records``.
    Without ``published`` the span evaluator is not asked, which takes its time and which no gate looks at.

    Raises:
        ModelError: the language model cannot be had.
    """
    folder = locate(section.spacy_model)
    other = locate_second(section)
    second = StockPresidio(folder) if other is None else load_detector(other)
    scrubber = Scrubber(section.model_copy(update={"operator": "tag", "dates": "replace"}), folder)
    done = _examine(scrubber, records, progress)
    planted = _examine(scrubber, Planter(load_words(), seed).plant(records, PLANTED), progress)
    clean = [one for one in done if isinstance(one, Clean)]
    marked = [mark for one in clean if any(one.prepared.raw.spans.values()) for mark in _marked(one)]
    left, types = residual(second, [scrubber.mask(t) for one in clean for t in one.record.fields.values()])
    held = [one for one in done if isinstance(one, Quarantined)]
    return Assessment(
        records=len(records),
        entities=dict(sorted(sum((Counter(one.entities) for one in clean), Counter[str]()).items())),
        reasons=dict(sorted(Counter(str(one.reason) for one in held).items())),
        quarantined=Recall(len(held), len(records)),
        labelled=leak_score(marked) if marked else None,
        spans={overlap: span_scores(marked, overlap) for overlap in OVERLAPS}
        if marked and published and is_installed()
        else {},
        planted=leak_score(mark for one in planted if isinstance(one, Clean) for mark in _marked(one)),
        residual=left,
        residual_types=types,
        versions=_versions(section, folder),
    )


def evenly(records: Sequence[RawRecord], count: int) -> Sequence[RawRecord]:
    """At most ``count`` of the records, spread over all of them: a file may be sorted."""
    if len(records) <= count:
        return records
    return [records[index * len(records) // count] for index in range(count)]


def document(found: Assessment, gate: GateSection) -> dict[str, Any]:
    """The assessment as plain values, with the verdict of a gate."""
    verdict = checks(gate, found)
    return {
        "passed": all(check.passed for check in verdict),
        "checks": [asdict(check) for check in verdict],
        "records": found.records,
        "quarantined": _share(found.quarantined),
        "quarantine_reasons": dict(found.reasons),
        "entities": dict(found.entities),
        "planted": _scored(found.planted),
        "labelled": _scored(found.labelled) if found.labelled else None,
        "span_evaluator": {str(o): {label: asdict(s) for label, s in by.items()} for o, by in found.spans.items()},
        "residual": {**_share(found.residual), "types": dict(found.residual_types)},
        "versions": dict(found.versions),
    }


def _examine(
    scrubber: Scrubber, records: Sequence[RawRecord], progress: Callable[[int], None] | None
) -> list[Clean | Quarantined]:
    done: list[Clean | Quarantined] = []
    for at in range(0, len(records), CHUNK):
        chunk = records[at : at + CHUNK]
        done.extend(scrubber.examine(chunk))
        if progress:
            progress(len(chunk))
    return done


def _marked(one: Clean) -> list[Marked]:
    """The fields of a record whose true spans are known."""
    texts = one.prepared.texts.items()
    spans = one.prepared.spans
    return [
        Marked(text, known, findings)
        for (name, text), findings in zip(texts, one.findings, strict=True)
        if (known := spans[name]) is not None and name in one.prepared.raw.spans
    ]


def _share(part: Recall) -> dict[str, float]:
    interval = part.interval()
    return {"found": part.found, "total": part.total, "value": interval.value, "low": interval.low, "high": interval.high}


def _scored(score: LeakScore) -> dict[str, Any]:
    return {
        "character_recall": _share(score.characters),
        "whole_spans": _share(score.whole),
        "direct_identifiers": _share(score.direct),
        "leak_free_records": _share(score.documents),
        "over_redaction": _share(score.harmless),
        "precision": score.precision,
        "f2": score.f2,
        "by_label": {label: _share(recall) for label, recall in score.spans.items()},
    }


def _versions(section: AnonymiseSection, folder: Path) -> dict[str, str]:
    """What made the result: versions, and digests of the model and of the settings."""
    weights = folder / "ner" / "model"
    return {
        **{name: version(name) for name in ("presidio-analyzer", "presidio-anonymizer", "spacy", "faker", "chunspell")},
        "level": section.level,
        "model": section.spacy_model,
        "second_detector": "Presidio as it comes" if section.second_model is None else section.second_model,
        "model_sha256": sha256_file(weights) if weights.is_file() else "",
    }
