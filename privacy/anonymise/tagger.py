"""Put tags in place of the findings in the texts of a record, and move the record's labelled spans with the text."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from privacy.detect.findings import Finding, merge
from privacy.detect.unfit import Reason, UnfitText
from privacy.replace.operators import Replacer, TagTable
from shared.records.spans import Edit, applied, follow
from shared.records.types import Record, Span


class Tagger:
    """Puts numbered tags into texts, and turns them into the final tags or surrogates.

    Parameters
    ----------
    replacer
        Replaces single findings.
    patterns
        Returns what the patterns find in a text, to read a replaced text again.
    """

    def __init__(self, replacer: Replacer, patterns: Callable[[str], Sequence[Finding]]) -> None:
        self._replacer, self._patterns = replacer, patterns

    def put_tags(
        self, texts: Mapping[str, str], merged: Sequence[Sequence[Finding]], table: TagTable, targets: tuple[Span, ...]
    ) -> tuple[dict[str, str], Counter[str], tuple[Span, ...]]:
        """Return the texts with tags, the number of tags by type, and the new places of the first text's targets.

        Parameters
        ----------
        texts
            Normalised texts of a record, by field.
        merged
            Disjoint findings in each text, in reading order.
        table
            The record's tags; it learns new values.
        targets
            Labelled spans of the first text.

        Raises
        ------
        UnfitText
            The patterns find something in a replaced text twice in a row, or the targets lost their places.
        """
        entities = Counter(f.label for field in merged for f in field)
        fields: dict[str, str] = {}
        for (name, text), field in zip(texts.items(), merged, strict=True):
            is_first = not fields
            fields[name], late, moved = self._put_into(text, field, table, targets if is_first else ())
            targets = moved if is_first else targets
            entities.update(f.label for f in late)
        return fields, entities, targets

    def finish(self, record: Record, table: TagTable, document: bytes) -> Record:
        """Turn the numbered tags of a record into the form that ``anonymise.operator`` sets.

        Parameters
        ----------
        record
            A record with numbered tags.
        table
            Its tags.
        document
            Bytes that identify the record among all records of the site.

        Raises
        ------
        UnfitText
            The record's labelled spans lost their places.
        """
        fields = self._replacer.finish(record.fields, table, document)
        targets = record.tags
        if targets:
            (name, text), *_ = record.fields.items()
            targets = _followed(targets, text, self._replacer.last_edits(text, table), fields[name])
        return replace(record, fields=fields, tags=targets)

    def _put_into(
        self, text: str, findings: Sequence[Finding], table: TagTable, targets: tuple[Span, ...]
    ) -> tuple[str, tuple[Finding, ...], tuple[Span, ...]]:
        """Replace the findings in one text, then what the patterns still find between the tags.

        Replacing a finding can reveal another that the first reading skipped as overlapping. A record in which a third
        reading still finds something is held back. A text without findings is not read again: nothing has changed in it.

        Raises
        ------
        UnfitText
            The patterns find something in the replaced text twice in a row, or the targets lost their places.
        """
        if not findings:
            return text, (), targets
        text, targets = self._replaced(text, findings, table, targets)
        late = self._residual(text)
        if late:
            text, targets = self._replaced(text, late, table, targets)
            if self._residual(text):
                raise UnfitText(Reason.RESIDUAL_FOUND)
        return text, late, targets

    def _replaced(
        self, text: str, findings: Sequence[Finding], table: TagTable, targets: tuple[Span, ...]
    ) -> tuple[str, tuple[Span, ...]]:
        """Replace findings by tags; return the new text and the new places of the targets."""
        new = self._replacer.replace(text, findings, table)
        return new, _followed(targets, text, self._replacer.edits(text, findings, table), new) if targets else ()

    def _residual(self, text: str) -> tuple[Finding, ...]:
        """Return what the patterns find outside the tags."""
        masked = self._replacer.mask(text)
        return merge(masked, self._patterns(masked))


def _followed(targets: tuple[Span, ...], before: str, edits: Sequence[Edit], after: str) -> tuple[Span, ...]:
    """Return the places of labelled spans after the edits that turn the text ``before`` into ``after``.

    Raises
    ------
    UnfitText
        The edits do not give ``after``, so the places are not known.
    """
    if applied(before, edits) != after:
        raise UnfitText(Reason.TAGS_LOST)
    return follow(targets, edits)
