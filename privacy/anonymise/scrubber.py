"""Raw records in, clean records out, in one process: normalise, detect, replace, look again; what fails stays out."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from privacy.anonymise.analyser import Analyser, Failed
from privacy.anonymise.casing import Casing, casing
from privacy.anonymise.denied import again, parts_of, values_of
from privacy.anonymise.findings import Finding, bridge, is_covered, merge, repeats, spread
from privacy.anonymise.language import locate_second
from privacy.anonymise.levels import LEVELS
from privacy.anonymise.normalise import normalise, normalise_spans
from privacy.anonymise.operators import Replacer, TagTable
from privacy.anonymise.outcome import Quarantined, Reason, Scrubbed, UnfitText
from privacy.anonymise.quality import Recall, merge_recalls
from privacy.anonymise.second import United, load_detector
from shared.record import RawRecord, Record, Span
from shared.sections import AnonymiseSection

T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class Prepared:
    """A normalised record: its texts, the same with our tags blotted out, and its true spans (None: not measurable)."""

    raw: RawRecord
    texts: Mapping[str, str]
    masked: tuple[str, ...]
    known: tuple[str, ...]
    spans: Mapping[str, tuple[Span, ...] | None]


@dataclass(frozen=True, repr=False)
class Clean:
    """A record that passed, with what it adds to the counts; ``originals`` tells by what stands there what stood there."""

    record: Record
    entities: Mapping[str, int]
    recall: Mapping[str, Recall]
    unmeasured: int
    prepared: Prepared
    findings: tuple[tuple[Finding, ...], ...]
    originals: Mapping[str, str]


class Scrubber:
    """Scrubs records with one analyser, which it builds once.

    Raises:
        ModelError: the folder holds no usable spaCy model.
    """

    def __init__(self, section: AnonymiseSection, folder: Path, key: bytes = b"") -> None:
        self._max_chars = section.max_chars
        self._level = section.level
        first = Analyser(folder, section.language, section.batch_size, LEVELS[section.level])
        second = locate_second(section) if section.second_use == "unite" else None
        self._analyser = first if second is None else United(first, load_detector(second))
        self._replacer = Replacer(section.operator, self._analyser.labels, section.dates, key)

    def scrub(self, records: Sequence[RawRecord]) -> Scrubbed:
        """Scrub some records; each is either in ``records`` or in ``quarantined``, whatever happens to the others."""
        return gathered(self.examine(records))

    def examine(self, records: Sequence[RawRecord]) -> list[Clean | Quarantined]:
        """Scrub some records and show what was found where, for a report or a preview at the site; nothing to keep."""
        prepared = [_guard(raw, Reason.NORMALISATION_FAILED, self._prepare, raw) for raw in records]
        found = iter(self._analyser.detect([text for p in prepared if isinstance(p, Prepared) for text in p.masked]))
        return [p if isinstance(p, Quarantined) else self._finish(p, found) for p in prepared]

    def mask(self, text: str) -> str:
        """A scrubbed text with its tags blotted out, for another detector to read."""
        return self._replacer.mask(text)

    def _prepare(self, raw: RawRecord) -> Prepared:
        """Check and normalise the texts of a record."""
        self._check(raw.fields)
        normal = {name: normalise_spans(text, raw.spans.get(name, ())) for name, text in raw.fields.items()}
        texts = {name: text for name, (text, _) in normal.items()}
        self._check(texts)  # normalising can blank a text, and make one longer
        masked = tuple(map(self._replacer.mask, texts.values()))
        known = tuple(map(normalise, raw.known))
        return Prepared(raw, texts, masked, known, {name: spans for name, (_, spans) in normal.items()})

    def _check(self, fields: Mapping[str, str]) -> None:
        """Refuse a record with a field that is blank or no text, and one that is too long in all."""
        if not all(isinstance(text, str) for text in fields.values()):
            raise UnfitText(Reason.NOT_TEXT)
        if sum(map(len, fields.values())) > self._max_chars:
            raise UnfitText(Reason.TOO_LONG)
        if not fields or not all(map(str.strip, fields.values())):
            raise UnfitText(Reason.EMPTY)

    def _finish(self, prepared: Prepared, found: Iterator[tuple[Finding, ...] | Failed]) -> Clean | Quarantined:
        """Take the record's findings from the stream and replace them."""
        results = [next(found) for _ in prepared.masked]
        for result in results:
            if isinstance(result, Failed):
                return Quarantined(prepared.raw.position, Reason.DETECTION_FAILED, result.error)
        findings = [result for result in results if not isinstance(result, Failed)]
        return _guard(prepared.raw, Reason.REPLACEMENT_FAILED, self._replace, prepared, findings)

    def _replace(self, prepared: Prepared, findings: Sequence[Sequence[Finding]]) -> Clean:
        """Merge the findings of a record, replace them, look again, and count."""
        masked = prepared.masked
        merged = [merge(text, [*f, *spread(text, f)]) for text, f in zip(masked, findings, strict=True)]
        denied = again(masked, [*parts_of(prepared.known), *values_of(masked, merged)])
        merged = [
            merge(text, [*f, *names, *values]) if names or values else f
            for text, f, names, values in zip(masked, merged, repeats(masked, merged), denied, strict=True)
        ]
        if LEVELS[self._level].word_lists:
            numbers = LEVELS[self._level].numbers
            merged = [
                bridge(text, f, numbers, casing(text) is not Casing.USUAL) for text, f in zip(masked, merged, strict=True)
            ]
        table = self._replacer.table(prepared.texts.values())
        entities = Counter(f.label for field in merged for f in field)
        fields = {}
        for (name, text), field in zip(prepared.texts.items(), merged, strict=True):
            fields[name], late = self._replace_text(text, field, table)
            entities.update(f.label for f in late)
        recall, unmeasured = _measure(prepared, merged)
        raw = prepared.raw
        done = self._replacer.finish(fields, table, _identity(prepared))
        originals = {table.stand_ins.get(tag, tag): original.value for tag, original in table.originals.items()}
        record = Record(done, raw.label, raw.position)
        return Clean(record, entities, recall, unmeasured, prepared, tuple(map(tuple, merged)), originals)

    def _replace_text(self, text: str, findings: Sequence[Finding], table: TagTable) -> tuple[str, tuple[Finding, ...]]:
        """Replace the findings in one text, then what the patterns still find between the tags.

        Taking a finding out can bring to light another that the first reading had skipped as overlapping. What a third
        reading still finds keeps the record back. A text without findings needs no second look: it is what was read.

        Raises:
            UnfitText: the patterns find something in the replaced text twice in a row.
        """
        if not findings:
            return text, ()
        text = self._replacer.replace(text, findings, table)
        late = self._residual(text)
        if late:
            text = self._replacer.replace(text, late, table)
            if self._residual(text):
                raise UnfitText(Reason.RESIDUAL_FOUND)
        return text, late

    def _residual(self, text: str) -> tuple[Finding, ...]:
        """What the patterns find outside the tags."""
        masked = self._replacer.mask(text)
        return merge(masked, self._analyser.detect_patterns(masked))


def gathered(done: Sequence[Clean | Quarantined]) -> Scrubbed:
    """The result for some records out of what became of each."""
    clean = [d for d in done if isinstance(d, Clean)]
    entities = sum((Counter(c.entities) for c in clean), Counter[str]())
    return Scrubbed(
        records=tuple(c.record for c in clean),
        quarantined=tuple(d for d in done if isinstance(d, Quarantined)),
        entities=dict(sorted(entities.items())),
        recall=merge_recalls(c.recall for c in clean),
        unmeasured=sum(c.unmeasured for c in clean),
    )


def _identity(prepared: Prepared) -> bytes:
    """What tells a record from all others of its site: its place and its text."""
    return hashlib.sha256("\x1f".join((str(prepared.raw.position), *prepared.texts.values())).encode()).digest()


def _measure(prepared: Prepared, merged: Sequence[Sequence[Finding]]) -> tuple[dict[str, Recall], int]:
    """Count the true spans that were found, by label, and those that cannot be measured."""
    counts: list[dict[str, Recall]] = []
    unmeasured = 0
    for (name, text), findings in zip(prepared.texts.items(), merged, strict=True):
        spans = prepared.spans[name]
        if spans is None:
            unmeasured += len(prepared.raw.spans.get(name, ()))
        else:
            counts.extend({span.label: Recall(int(is_covered(text, span, findings)), 1)} for span in spans)
    return merge_recalls(counts), unmeasured


def _guard(raw: RawRecord, stage: Reason, step: Callable[..., T], *arguments: object) -> T | Quarantined:
    """Take one step for one record; whatever goes wrong holds back this record alone."""
    try:
        return step(*arguments)
    except UnfitText as unfit:
        return Quarantined(raw.position, unfit.reason)
    except Exception as error:
        return Quarantined(raw.position, stage, type(error).__name__)
