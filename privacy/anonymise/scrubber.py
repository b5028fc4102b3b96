"""Scrub raw records in one process: normalise, detect, replace, detect again; a record that fails is held back."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from privacy.anonymise.prepared import Prepared, Preparer
from privacy.anonymise.scrubbed import Quarantined, Scrubbed, merge_scrubbed
from privacy.anonymise.tagger import Tagger
from privacy.detect.addresses import AddressForms, bridge, spread
from privacy.detect.analyser import Analyser, Failed
from privacy.detect.casing import Casing, casing
from privacy.detect.domains.harmless import GUESS, GUESSED
from privacy.detect.domains.terms import VOCABULARY_LANGUAGE, Terms
from privacy.detect.findings import Finding, is_covered, merge, repeats
from privacy.detect.job_titles import JobTitles
from privacy.detect.known_values import find_again, parts_of, values_of
from privacy.detect.languages.registry import language
from privacy.detect.levels import LEVELS
from privacy.detect.second_recogniser import United, load_detector
from privacy.detect.spacy_models import locate_second
from privacy.detect.unfit import Reason, UnfitText
from privacy.leakage.recall import Recall, merge_recalls
from privacy.replace.operators import Replacer, TagTable
from shared.config.anonymise import AnonymiseSection
from shared.records.types import RawRecord, Record

READINGS = 4  # how often a scrubbed text is read again at most; one or two readings were enough in all tests
T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class Clean:
    """A record that passed, with its findings and counts.

    Attributes
    ----------
    record
        The scrubbed record; until ``LanguageScrubber._finish`` its texts hold numbered tags.
    entities
        Number of replaced findings by type.
    recall, unmeasured
        What `Scrubbed` counts of the true spans.
    prepared
        The record before it was searched.
    findings
        What was found in each of its texts.
    table
        The value of each tag.
    tagged
        The texts with numbered tags, by field.
    """

    record: Record
    entities: Mapping[str, int]
    recall: Mapping[str, Recall]
    unmeasured: int
    prepared: Prepared
    findings: tuple[tuple[Finding, ...], ...]
    table: TagTable
    tagged: Mapping[str, str] = field(default_factory=dict)

    @property
    def originals(self) -> Mapping[str, str]:
        """Map each tag or surrogate to the original value."""
        return {self.table.stand_ins.get(tag, tag): original.value for tag, original in self.table.originals.items()}


class LanguageScrubber:
    """Scrubs records of one language with one analyser, built once; `Polyglot` makes a scrubber for each language.

    Parameters
    ----------
    section
        The ``[anonymise]`` section of the config.
    folder
        The folder of the spaCy model; None if rules and lists work alone.
    key
        The site's secret for surrogates and date offsets.

    Raises
    ------
    ModelError
        The folder holds no usable spaCy model, or the section's language is incomplete.
    """

    def __init__(self, section: AnonymiseSection, folder: Path | None, key: bytes = b"") -> None:
        self._level = LEVELS[section.level]
        text_language = language(section.language)
        self._addresses, self._function_words = AddressForms.of(text_language.addresses), text_language.function_words()
        jobs, titles = text_language.jobs, text_language.titles
        self._jobs = JobTitles(jobs(), self._function_words, titles) if jobs else None
        # The vocabularies are English: a term in them may be a name in another language.
        domains = section.domain if section.language == VOCABULARY_LANGUAGE else ()
        terms = Terms.of(domains, section.harmless) if domains or section.harmless else None
        first = Analyser(folder, text_language, section.batch_size, self._level, terms)
        second = locate_second(section) if section.second_use == "unite" else None
        self._analyser = first if second is None else United(first, load_detector(second))
        self._replacer = Replacer(section.operator, self._analyser.labels, text_language, section.dates, key)
        self._tagger = Tagger(self._replacer, self._analyser.detect_patterns)
        self._preparer = Preparer(section, self._replacer.mask)

    def examine(self, records: Sequence[RawRecord]) -> list[Clean | Quarantined]:
        """Scrub some records and return what was found where, for a report or a preview at the site.

        Returns
        -------
        list of Clean or Quarantined
            One result for each record, in order, whatever happens to the other records. A ``Clean`` holds raw text, so it
            must not be stored.
        """
        prepared = [_guard(raw, Reason.NORMALISATION_FAILED, self._preparer.prepare, raw) for raw in records]
        found = iter(self._analyser.detect([text for p in prepared if isinstance(p, Prepared) for text in p.masked]))
        done = [p if isinstance(p, Quarantined) else self._take(p, found, self._replace, p) for p in prepared]
        if self._level.read_again:
            self._read_again(done)
        return [
            d if isinstance(d, Quarantined) else _guard(d.prepared.raw, Reason.REPLACEMENT_FAILED, self._finish, d)
            for d in done
        ]

    def mask(self, text: str) -> str:
        """Mask the tags of a scrubbed text, so that another detector reads only the text between them.

        Returns
        -------
        str
            The text at the same length.
        """
        return self._replacer.mask(text)

    def without_harmless(self, text: str, findings: Sequence[Finding]) -> tuple[Finding, ...]:
        """Return another detector's findings without those that are only harmless terms of the text's domains.

        Parameters
        ----------
        text
            The text that the other detector read.
        findings
            Its findings. What it says about names, places and organisations counts as a guess, however sure it is.
        """
        guesses = [replace(f, score=GUESS) if f.label in GUESSED else f for f in findings]
        return self._analyser.without_harmless(text, guesses)

    def _take(
        self,
        prepared: Prepared,
        found: Iterator[tuple[Finding, ...] | Failed],
        step: Callable[..., Clean],
        subject: Prepared | Clean,
    ) -> Clean | Quarantined:
        """Take the record's findings from the stream, one result for each text, and apply the next step to them."""
        results = [next(found) for _ in prepared.masked]
        for result in results:
            if isinstance(result, Failed):
                return Quarantined(prepared.raw.position, Reason.DETECTION_FAILED, result.error)
        return _guard(prepared.raw, Reason.REPLACEMENT_FAILED, step, subject, results)

    def _read_again(self, done: list[Clean | Quarantined]) -> None:
        """Detect in the tagged texts until nothing more is found; hold back a record in which each reading finds more."""
        waiting = {place: each for place, each in enumerate(done) if isinstance(each, Clean) and each.entities}
        for _ in range(READINGS):
            tagged = [self._tagged(clean) for clean in waiting.values()]
            found = iter(self._analyser.detect([text for each in tagged for text in each.masked]))
            for (place, clean), each in zip(waiting.items(), tagged, strict=True):
                done[place] = self._take(each, found, self._replace_more, clean)
            read = ((place, done[place]) for place, clean in waiting.items() if done[place] is not clean)
            waiting = {place: each for place, each in read if isinstance(each, Clean)}
            if not waiting:
                return
        for place, clean in waiting.items():
            done[place] = Quarantined(clean.prepared.raw.position, Reason.RESIDUAL_FOUND)

    def _tagged(self, clean: Clean) -> Prepared:
        """Return a tagged record in the form that detection reads."""
        texts = clean.record.fields
        return replace(clean.prepared, texts=texts, masked=tuple(map(self._replacer.mask, texts.values())))

    def _replace(self, prepared: Prepared, findings: Sequence[Sequence[Finding]]) -> Clean:
        """Merge the findings of a record, put tags in their place, detect again, and count."""
        merged = self._merged(prepared, findings)
        table = self._replacer.table(prepared.texts.values())
        fields, entities, targets = self._tagger.put_tags(prepared.texts, merged, table, prepared.targets)
        recall, unmeasured = _measure(prepared, merged)
        record = Record(fields, prepared.raw.label, prepared.raw.position, tags=targets)
        return Clean(record, entities, recall, unmeasured, prepared, tuple(merged), table)

    def _replace_more(self, clean: Clean, findings: Sequence[Sequence[Finding]]) -> Clean:
        """Put tags in place of the findings of another reading; return the same object if there are none."""
        tagged = self._tagged(clean)
        merged = self._merged(tagged, findings)
        if not any(merged):
            return clean
        fields, entities, targets = self._tagger.put_tags(tagged.texts, merged, clean.table, clean.record.tags)
        record = replace(clean.record, fields=fields, tags=targets)
        return replace(clean, record=record, entities=Counter(clean.entities) + entities)

    def _finish(self, clean: Clean) -> Clean:
        """Turn the numbered tags into the form that ``anonymise.operator`` sets."""
        record = self._tagger.finish(clean.record, clean.table, _identity(clean.prepared))
        return replace(clean, record=record, tagged=clean.record.fields)

    def _merged(self, prepared: Prepared, findings: Sequence[Sequence[Finding]]) -> list[tuple[Finding, ...]]:
        """Return what to replace in each text of a record: the findings, and every other occurrence of the same values."""
        masked = prepared.masked
        merged = [merge(text, [*f, *spread(text, f, self._addresses)]) for text, f in zip(masked, findings, strict=True)]
        known = parts_of(prepared.known, self._function_words)
        again = find_again(masked, [*known, *values_of(masked, merged)])
        merged = [
            merge(text, [*f, *self._analyser.without_harmless(text, names, f), *values]) if names or values else f
            for text, f, names, values in zip(masked, merged, repeats(masked, merged), again, strict=True)
        ]
        if self._jobs:
            merged = [merge(text, self._jobs.split(text, f)) for text, f in zip(masked, merged, strict=True)]
        if self._level.word_lists:
            merged = [
                bridge(text, f, self._addresses, self._level.numbers, casing(text) is not Casing.USUAL) if f else f
                for text, f in zip(masked, merged, strict=True)
            ]
        return merged


def gathered(done: Sequence[Clean | Quarantined]) -> Scrubbed:
    """Join the results of single records, in order."""
    return merge_scrubbed(
        Scrubbed((d.record,), (), d.entities, d.recall, d.unmeasured) if isinstance(d, Clean) else Scrubbed((), (d,))
        for d in done
    )


def _identity(prepared: Prepared) -> bytes:
    """Return a digest that identifies a record by its text only, not by its position.

    If the position counted, inserting one record would change the surrogates of all records after it.
    """
    return hashlib.sha256("\x1f".join(prepared.texts.values()).encode()).digest()


def _measure(prepared: Prepared, merged: Sequence[Sequence[Finding]]) -> tuple[dict[str, Recall], int]:
    """Count the true spans that were found, by label, and the true spans that cannot be measured."""
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
    """Apply one step to one record; any failure holds back only this record."""
    try:
        return step(*arguments)
    except UnfitText as unfit:
        return Quarantined(raw.position, unfit.reason)
    except Exception as error:
        return Quarantined(raw.position, stage, type(error).__name__)
