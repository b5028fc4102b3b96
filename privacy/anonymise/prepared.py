"""Prepare a raw record for detection: check that it is fit, and normalise its texts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from privacy.detect.languages.identify import identifier
from privacy.detect.normalise import normalise, normalise_spans
from privacy.detect.unfit import Reason, UnfitText
from shared.config.anonymise import AnonymiseSection
from shared.records.types import RawRecord, Span


@dataclass(frozen=True, repr=False)
class Prepared:
    """A record whose texts are normalised and not yet searched.

    Attributes
    ----------
    raw
        The record as it was read.
    texts
        Its normalised texts, by field.
    masked
        The same texts with our own tags masked, for detection.
    known
        Normalised values of its other columns, which are searched for in the texts.
    spans
        True spans by field, to measure recall; None where their places are unknown.
    targets
        Labelled spans of the first text, which a token classification task learns.
    """

    raw: RawRecord
    texts: Mapping[str, str]
    masked: tuple[str, ...]
    known: tuple[str, ...]
    spans: Mapping[str, tuple[Span, ...] | None]
    targets: tuple[Span, ...] = ()


class Preparer:
    """Prepares records of one language.

    Parameters
    ----------
    section
        The ``[anonymise]`` section of the config, whose language is the one to read.
    mask
        Masks our own tags in a text and keeps its length.
    """

    def __init__(self, section: AnonymiseSection, mask: Callable[[str], str]) -> None:
        self._max_chars, self._language = section.max_chars, section.language
        self._identifier, self._mask = identifier(), mask

    def prepare(self, raw: RawRecord) -> Prepared:
        """Check and normalise the texts of a record.

        Raises
        ------
        UnfitText
            The record lacks a text, a label or a person, is too long, or is surely in another language.
        """
        if raw.lacks:
            raise UnfitText(Reason(f"no_{raw.lacks}"))
        self._check(raw.fields)
        normal = {name: normalise_spans(text, raw.spans.get(name, ())) for name, text in raw.fields.items()}
        texts = {name: text for name, (text, _) in normal.items()}
        self._check(texts)  # again, because normalising can blank a text or make it longer
        masked = tuple(map(self._mask, texts.values()))
        if self._identifier.is_foreign("\n".join(masked), self._language):
            raise UnfitText(Reason.OTHER_LANGUAGE)
        known = tuple(map(normalise, raw.known))
        return Prepared(raw, texts, masked, known, {name: spans for name, (_, spans) in normal.items()}, _targets(raw))

    def _check(self, fields: Mapping[str, str]) -> None:
        """Refuse a record without fields, with a field that is blank or not a text, or with too many characters in all."""
        if not all(isinstance(text, str) for text in fields.values()):
            raise UnfitText(Reason.NOT_TEXT)
        if sum(map(len, fields.values())) > self._max_chars:
            raise UnfitText(Reason.TOO_LONG)
        if not fields or not all(map(str.strip, fields.values())):
            raise UnfitText(Reason.EMPTY)


def _targets(raw: RawRecord) -> tuple[Span, ...]:
    """Return the places of a record's labelled spans in its normalised first text.

    Raises
    ------
    UnfitText
        The places are not known, so a task could learn nothing from the record.
    """
    moved = normalise_spans(next(iter(raw.fields.values())), raw.tags)[1] if raw.tags else raw.tags
    if moved is None:
        raise UnfitText(Reason.TAGS_LOST)
    return tuple(span for span in moved if span.start < span.end)
