"""What stands in place of personal data: numbered tags, or plain ones, put in by presidio-anonymizer."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from presidio_anonymizer import AnonymizerEngine
from presidio_anonymizer.entities import OperatorConfig, RecognizerResult
from presidio_anonymizer.operators import Operator, OperatorType

from privacy.anonymise.findings import Finding

# One character that is neither letter, digit nor space, so that no pattern reads across a tag or into it.
MASK = "\ufffc"


class TagTable:
    """The tags of one record: equal values get the same tag in all its fields; it lives as long as the record's turn.

    Values are equal when their letters and digits are, whatever the case. The first type found for a value names it.
    ``taken`` names the tags that the record already holds; their numbers are not given again.
    """

    def __init__(self, taken: Iterable[tuple[str, int]] = ()) -> None:
        self._tags: dict[str, str] = {}
        self._last: dict[str, int] = {}
        for label, number in taken:
            self._last[label] = max(self._last.get(label, 0), number)

    def tag(self, label: str, value: str) -> str:
        """The tag of a value, such as ``<PERSON_1>``; a new number when the value is new."""
        key = "".join(filter(str.isalnum, value.casefold())) or value
        if key not in self._tags:
            self._last[label] = self._last.get(label, 0) + 1
            self._tags[key] = f"<{label}_{self._last[label]}>"
        return self._tags[key]


class NumberedTag(Operator):
    """Presidio's operator for ``<PERSON_1>``; the parameter ``table`` is the record's ``TagTable``."""

    def operate(self, text: str, params: Mapping[str, Any] | None = None) -> str:
        """The tag for one value."""
        table: TagTable = (params or {})["table"]
        return table.tag((params or {})["entity_type"], text)

    def validate(self, params: Mapping[str, Any] | None = None) -> None:
        """Refuse to work without a table."""
        if not isinstance((params or {}).get("table"), TagTable):
            raise TypeError("numbered tags need the record's table")

    def operator_name(self) -> str:
        """The name in an ``OperatorConfig``."""
        return "numbered_tag"

    def operator_type(self) -> OperatorType:
        """It anonymises."""
        return OperatorType.Anonymize


class Replacer:
    """Puts tags in place of findings: ``tag`` numbers them, ``redact`` shows the type alone.

    ``labels`` are all types there are; only tags of these types count as ours where they already stand in a text.
    """

    def __init__(self, operator: Literal["tag", "redact"], labels: Iterable[str]) -> None:
        self._operator = operator
        self._tag = re.compile(rf"<({'|'.join(sorted(labels))})(?:_(\d{{1,3}}))?>")
        self._engine = AnonymizerEngine()  # type: ignore[no-untyped-call]
        self._engine.add_anonymizer(NumberedTag)

    def table(self, texts: Iterable[str]) -> TagTable:
        """A table for one record, given its texts."""
        return TagTable((tag[1], int(tag[2] or 0)) for text in texts for tag in self._tag.finditer(text))

    def mask(self, text: str) -> str:
        """The text with each of our tags blotted out at its own length, so that detection sees only what is between."""
        return self._tag.sub(lambda tag: MASK * len(tag[0]), text)

    def replace(self, text: str, findings: Sequence[Finding], table: TagTable) -> str:
        """Replace disjoint findings, given in reading order."""
        if not findings:
            return text
        if self._operator == "redact":
            config = OperatorConfig("replace")
        else:
            config = OperatorConfig("numbered_tag", {"table": table})
            # Presidio replaces from the end; numbers are given in reading order.
            for finding in findings:
                table.tag(finding.label, text[finding.start : finding.end])
        results = [RecognizerResult(f.label, f.start, f.end, f.score) for f in findings]
        done = self._engine.anonymize(text, results, {"DEFAULT": config}, merge_entities_with_spaces=False)
        return str(done.text)
