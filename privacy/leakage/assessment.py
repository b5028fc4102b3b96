"""Measure a site's anonymisation before the site joins a round, as counts and intervals without any text."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from privacy.anonymise.polyglot import Polyglot
from privacy.anonymise.scrubbed import Quarantined
from privacy.anonymise.scrubber import Clean
from privacy.detect.findings import Finding
from privacy.detect.languages.registry import language
from privacy.detect.second_recogniser import load_detector
from privacy.detect.spacy_models import locate_second, named
from privacy.leakage.planted import CHECKSUMMED, Planter
from privacy.leakage.recall import Recall, overall
from privacy.leakage.residual import StockPresidios, residual
from privacy.leakage.score import LeakScore, Marked, leak_score
from privacy.leakage.span_evaluator import SpanScore, is_installed, span_scores, tokeniser
from shared.config.anonymise import AnonymiseSection
from shared.models.wheels import sha256_file
from shared.records.types import RawRecord

# Intersection over union from which a finding matches a true span, for the two tables of the span evaluator.
OVERLAPS = (0.9, 0.7)
CHUNK = 64  # records between two calls of ``progress``
# Planted values: 30 of each of the 9 kinds, enough for a narrow interval however few records there are.
PLANTED = 270


@dataclass(frozen=True)
class Assessment:
    """Measures of one site.

    Attributes
    ----------
    records
        Number of records that were scrubbed.
    entities, reasons
        Number of replaced findings by type, and of records held back by reason.
    replaced
        Letters and digits that were replaced, out of all letters and digits of the records that passed.
    quarantined
        Records held back, out of all records.
    labelled
        Score on records with known true spans; None if there are no such records.
    spans
        Scores by overlap and type; empty if the span evaluator did not run.
    planted
        Score on planted personal data.
    residual, residual_types
        Scrubbed texts in which the second detector still finds something, and how often it finds each type.
    versions
        Versions and digests of the software and models that the result depends on.
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
    replaced: Recall

    @property
    def checksummed(self) -> Recall:
        """Return the recall of planted identifiers that a checksum or a fixed form proves."""
        return overall({label: recall for label, recall in self.planted.spans.items() if label in CHECKSUMMED})


def assess(
    section: AnonymiseSection,
    records: Sequence[RawRecord],
    seed: int,
    progress: Callable[[int], None] | None = None,
    published: bool = True,
) -> Assessment:
    """Scrub the records, and copies with planted data, and search the results with a second detector; store nothing.

    Parameters
    ----------
    section
        The ``[anonymise]`` section of the config.
    records
        Raw records of the site.
    seed
        Seed of the planted data.
    progress
        Called with the number of texts done since the last call; there are ``PLANTED`` more than ``records``.
    published
        Whether to run the span evaluator too, for a published report; it is slow, and no gate needs it.

    Raises
    ------
    ModelError
        The language model cannot be found or loaded.
    """
    scrubber = Polyglot(section.model_copy(update={"operator": "tag", "dates": "replace"}))
    codes = [scrubber.language_of(record) for record in records]
    done = _examine(scrubber, records, progress)
    planted = _examine(scrubber, _planted(records, codes, scrubber.models, seed), progress)
    left = _left(section, scrubber, done, codes)
    return _measured(done, planted, left, published, _versions(section, scrubber.models))


def _planted(records: Sequence[RawRecord], codes: Sequence[str], read: Iterable[str], seed: int) -> list[RawRecord]:
    """Return copies of the records with planted data in each record's own language, ``PLANTED`` in all."""
    own = {code: [raw for raw, each in zip(records, codes, strict=True) if each == code] for code in read}
    total = sum(map(len, own.values()))
    return [
        copy
        for code, raw in own.items()
        if raw
        for copy in Planter(language(code), seed).plant(raw, round(PLANTED * len(raw) / total))
    ]


def _left(
    section: AnonymiseSection, scrubber: Polyglot, done: Sequence[Clean | Quarantined], codes: Sequence[str]
) -> list[tuple[Finding, ...]]:
    """Return what the second detector finds in each text of the records that passed, without harmless terms."""
    pairs = [
        (scrubber.mask(text), code)
        for one, code in zip(done, codes, strict=True)
        if isinstance(one, Clean)
        for text in one.record.fields.values()
    ]
    texts, own = [text for text, _ in pairs], [code for _, code in pairs]
    other = locate_second(section)
    found = StockPresidios(scrubber.models).detect(texts, own) if other is None else load_detector(other).detect(texts)
    return [scrubber.scrubber(code).without_harmless(text, each) for (text, code), each in zip(pairs, found, strict=True)]


def _measured(
    done: Sequence[Clean | Quarantined],
    planted: Sequence[Clean | Quarantined],
    found: Sequence[Sequence[Finding]],
    published: bool,
    versions: Mapping[str, str],
) -> Assessment:
    """Measure scrubbed records, and copies of them with planted data."""
    clean = [one for one in done if isinstance(one, Clean)]
    marked = [mark for one in clean if any(one.prepared.raw.spans.values()) for mark in _marked(one)]
    left, types = residual(found)
    held = [one for one in done if isinstance(one, Quarantined)]
    return Assessment(
        records=len(done),
        entities=dict(sorted(sum((Counter(one.entities) for one in clean), Counter[str]()).items())),
        reasons=dict(sorted(Counter(str(one.reason) for one in held).items())),
        quarantined=Recall(len(held), len(done)),
        labelled=leak_score(marked) if marked else None,
        spans={overlap: span_scores(marked, overlap, tokeniser(versions["language"])) for overlap in OVERLAPS}
        if marked and published and is_installed()
        else {},
        planted=leak_score(mark for one in planted if isinstance(one, Clean) for mark in _marked(one)),
        residual=left,
        residual_types=types,
        versions=versions,
        replaced=_replaced(clean),
    )


def _replaced(clean: Sequence[Clean]) -> Recall:
    """Count the letters and digits of the texts, and how many of them were replaced."""
    texts = [
        Marked(text, (), found)
        for one in clean
        for text, found in zip(one.prepared.texts.values(), one.findings, strict=True)
    ]
    return leak_score(texts).harmless  # without true spans, all letters and digits count as harmless


def evenly(records: Sequence[RawRecord], count: int) -> Sequence[RawRecord]:
    """Return at most ``count`` of the records, spread evenly over all of them, since a file may be sorted.

    Parameters
    ----------
    records
        All records.
    count
        How many to return at most.
    """
    if len(records) <= count:
        return records
    return [records[index * len(records) // count] for index in range(count)]


def _examine(
    scrubber: Polyglot, records: Sequence[RawRecord], progress: Callable[[int], None] | None
) -> list[Clean | Quarantined]:
    done: list[Clean | Quarantined] = []
    for at in range(0, len(records), CHUNK):
        chunk = records[at : at + CHUNK]
        done.extend(scrubber.examine(chunk))
        if progress:
            progress(len(chunk))
    return done


def _marked(one: Clean) -> list[Marked]:
    """Return the fields with known true spans of a record, each with its findings."""
    texts = one.prepared.texts.items()
    spans = one.prepared.spans
    return [
        Marked(text, known, findings)
        for (name, text), findings in zip(texts, one.findings, strict=True)
        if (known := spans[name]) is not None and name in one.prepared.raw.spans
    ]


def _versions(section: AnonymiseSection, models: Mapping[str, Path | None]) -> dict[str, str]:
    """Return what the result depends on: versions, language, level, and the digest of each model."""
    weights = {code: folder / "ner" / "model" for code, folder in models.items() if folder}
    return {
        **{name: version(name) for name in ("presidio-analyzer", "presidio-anonymizer", "spacy", "faker", "chunspell")},
        "language": section.language,
        "level": section.level,
        "model": named(models),
        "second_detector": "Presidio with its defaults" if section.second_model is None else section.second_model,
        "model_sha256": " ".join(sha256_file(file) for file in weights.values() if file.is_file()),
    }
