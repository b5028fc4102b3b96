"""Replace personal data by numbered tags, and then, if the site wants, by plain tags or invented values.

Presidio inserts the numbered tags, and detection reads the tagged text again. Only then are the tags replaced as
``anonymise.operator`` says, so an invented value is never taken for a leak and never hides a leak.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from presidio_anonymizer import AnonymizerEngine
from presidio_anonymizer.entities import OperatorConfig, RecognizerResult
from presidio_anonymizer.operators import Operator, OperatorType

from privacy.detect.findings import LISTED, RULE, Finding
from privacy.detect.languages.base import Language
from privacy.replace.dates import offset_of, shift
from privacy.replace.surrogates import Surrogates, new_faker
from shared.records.spans import Edit

# One character that is neither letter, digit nor space, so that no pattern reads across a tag or into it.
MASK = "\ufffc"
TAG = re.compile(r"<[A-Z_]+_\d+>")  # a numbered tag
# The tags of the parties of a case, "<PERSON_1> v <PERSON_2>". An invented party would misquote the law, so these tags stay.
CASE = re.compile(r"(<[A-Z_]+_\d+>)?[ ]vs?\.?[ ](<[A-Z_]+_\d+>)?")


@dataclass(frozen=True, repr=False)
class Original:
    """The value that a tag replaces: its type, the first form in which it occurred, and the best score of its findings."""

    label: str
    value: str
    score: float = 0.0

    @property
    def is_guess(self) -> bool:
        """Return whether neither a rule nor a list supports the value, so that it may be no personal data at all.

        A name of one word is a guess unless a rule found it, because diseases and laws are called after people. So is a
        number that only has the length or the look of an identifier, as forms and codes have too.
        """
        weak = self.label == "ID_NUMBER" or (self.label == "PERSON" and len(self.value.split()) == 1)
        return self.label != "DATE_TIME" and self.score < (RULE if weak else LISTED)


class TagTable:
    """The tags of one record: equal values get the same tag in all its fields.

    Two values are equal if their letters and digits are, whatever the case. The first type found for a value names its tag.
    ``originals`` maps each tag to the value that it replaces. ``stand_ins`` maps the tags that the finished record no longer
    holds to what stands there instead.

    Parameters
    ----------
    taken
        Types and numbers of the tags that the record already holds; these numbers are not given again.
    """

    def __init__(self, taken: Iterable[tuple[str, int]] = ()) -> None:
        self._tags: dict[str, str] = {}
        self._last: dict[str, int] = {}
        self.originals: dict[str, Original] = {}
        self.stand_ins: dict[str, str] = {}
        for label, number in taken:
            self._last[label] = max(self._last.get(label, 0), number)

    def tag(self, label: str, value: str, score: float = 0.0) -> str:
        """Return the tag of a value, such as ``<PERSON_1>``; a new value gets a new number, and its best score is kept."""
        key = "".join(filter(str.isalnum, value.casefold())) or value
        if key not in self._tags:
            self._last[label] = self._last.get(label, 0) + 1
            self._tags[key] = f"<{label}_{self._last[label]}>"
            self.originals[self._tags[key]] = Original(label, value)
        tag = self._tags[key]
        if score > self.originals[tag].score:
            self.originals[tag] = replace(self.originals[tag], score=score)
        return tag


class NumberedTag(Operator):
    """Presidio operator that inserts tags such as ``<PERSON_1>``; its parameter ``table`` is the record's ``TagTable``."""

    def operate(self, text: str, params: Mapping[str, Any] | None = None) -> str:
        """Return the tag for one value."""
        table: TagTable = (params or {})["table"]
        return table.tag((params or {})["entity_type"], text)

    def validate(self, params: Mapping[str, Any] | None = None) -> None:
        """Refuse to work without a table."""
        if not isinstance((params or {}).get("table"), TagTable):
            raise TypeError("numbered tags need the record's table")

    def operator_name(self) -> str:
        """Return the name in an ``OperatorConfig``."""
        return "numbered_tag"

    def operator_type(self) -> OperatorType:
        """Return that this operator anonymises."""
        return OperatorType.Anonymize


class Replacer:
    """Puts tags in place of findings, and replaces the tags of a record as ``operator`` says.

    Parameters
    ----------
    operator
        ``tag``, ``redact`` or ``surrogate``, as in the config.
    labels
        All types of findings; tags of other types in a text are ordinary text.
    language
        The language of the texts.
    dates
        ``shift`` moves dates instead of replacing them; the operator ``surrogate`` always moves them.
    key
        The site's secret for surrogates and date offsets.
    """

    def __init__(
        self,
        operator: Literal["tag", "redact", "surrogate"],
        labels: Iterable[str],
        language: Language,
        dates: Literal["replace", "shift"] = "replace",
        key: bytes = b"",
    ) -> None:
        self._operator = operator
        self._dates = dates
        self._language = language
        self._key = key
        self._tag = re.compile(rf"<({'|'.join(sorted(labels))})(?:_(\d{{1,3}}))?>")
        self._engine = AnonymizerEngine()  # type: ignore[no-untyped-call]
        self._engine.add_anonymizer(NumberedTag)
        self._faker = new_faker(language.surrogates.locales) if operator == "surrogate" else None

    def table(self, texts: Iterable[str]) -> TagTable:
        """Return an empty table for a record with these texts."""
        return TagTable((tag[1], int(tag[2] or 0)) for text in texts for tag in self._tag.finditer(text))

    def mask(self, text: str) -> str:
        """Return the text with each of our tags masked, at the same length, so that detection reads only the rest."""
        return self._tag.sub(lambda tag: MASK * len(tag[0]), text)

    def replace(self, text: str, findings: Sequence[Finding], table: TagTable) -> str:
        """Put numbered tags in place of disjoint findings, given in reading order; ``table`` learns new values."""
        # Presidio replaces from the end, so the tags are made here first, to be numbered in reading order.
        for finding in findings:
            table.tag(finding.label, text[finding.start : finding.end], finding.score)
        results = [RecognizerResult(f.label, f.start, f.end, f.score) for f in findings]
        config = {"DEFAULT": OperatorConfig("numbered_tag", {"table": table})}
        return str(self._engine.anonymize(text, results, config, merge_entities_with_spaces=False).text)

    def edits(self, text: str, findings: Sequence[Finding], table: TagTable) -> list[Edit]:
        """Return the edits that ``replace`` makes in a text, so that labelled spans can follow them."""
        return [Edit(f.start, f.end, table.tag(f.label, text[f.start : f.end])) for f in findings]

    def last_edits(self, text: str, table: TagTable) -> list[Edit]:
        """Return the edits that ``finish`` made in a text of the table's record."""
        return [Edit(*tag.span(), table.stand_ins[tag[0]]) for tag in TAG.finditer(text) if tag[0] in table.stand_ins]

    def finish(self, fields: Mapping[str, str], table: TagTable, document: bytes) -> dict[str, str]:
        """Replace the tags that ``table`` gave out as the operator says; other tags stay.

        Parameters
        ----------
        fields
            The tagged texts of a record.
        table
            The record's tags.
        document
            Bytes that identify the record among all records of the site.
        """
        made = self._stand_ins(document, table.originals, fields.values())
        table.stand_ins = {tag: value for tag, value in made.items() if value is not None}
        return {name: TAG.sub(lambda tag: table.stand_ins.get(tag[0], tag[0]), text) for name, text in fields.items()}

    def _stand_ins(
        self, document: bytes, originals: Mapping[str, Original], texts: Collection[str]
    ) -> dict[str, str | None]:
        """Map tags to the values that replace them; a tag with None, or without a value, stays."""
        if self._operator == "redact":
            return {tag: f"<{original.label}>" for tag, original in originals.items()}
        if self._faker is not None:
            surrogates = Surrogates(
                self._faker, self._language, self._key, document, [original.value for original in originals.values()]
            )
            kept = _kept(originals, texts)
            return {tag: surrogates.of(o.label, o.value) for tag, o in originals.items() if tag not in kept}
        if self._dates == "shift":
            days = offset_of(int.from_bytes(hashlib.sha256(self._key + document).digest()[:8]))
            dated = {tag: original.value for tag, original in originals.items() if original.label == "DATE_TIME"}
            return {tag: shift(value, days, self._language.dates) for tag, value in dated.items()}
        return {}


def _kept(originals: Mapping[str, Original], texts: Collection[str]) -> set[str]:
    """Return the tags that get no surrogate: those of the parties of a case, and those of guesses.

    A guess gets a surrogate all the same if each of its words is a word of a person's name that is no guess.
    """
    parties = {tag for text in texts for found in CASE.findall(text) for tag in found if tag}
    sure = {word for o in originals.values() if o.label == "PERSON" and not o.is_guess for word in o.value.split()}
    return parties | {
        tag for tag, o in originals.items() if CASE.search(o.value) or (o.is_guess and not sure.issuperset(o.value.split()))
    }
