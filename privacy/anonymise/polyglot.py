"""Scrub each record with the rules, lists and model of its language; a record in a language without them is held back."""

from collections.abc import Sequence

from privacy.anonymise.scrubbed import Quarantined, Scrubbed
from privacy.anonymise.scrubber import Clean, LanguageScrubber, gathered
from privacy.detect.languages.identify import UNKNOWN, identifier
from privacy.detect.normalise import normalise
from privacy.detect.spacy_models import locate_models
from privacy.detect.unfit import Reason, UnfitText
from shared.config.anonymise import AnonymiseSection
from shared.records.types import RawRecord


class Polyglot:
    """Scrubs records of all languages that ``anonymise.language`` stands for; a language is loaded at its first record.

    Parameters
    ----------
    section
        The ``[anonymise]`` section of the config.
    key
        The site's secret for surrogates and date offsets.

    Raises
    ------
    ModelError
        A language is incomplete, or its spaCy model cannot be found or loaded.
    """

    def __init__(self, section: AnonymiseSection, key: bytes = b"") -> None:
        self._section, self._key = section, key
        self.models = locate_models(section)
        self._scrubbers: dict[str, LanguageScrubber] = {}
        if len(self.models) == 1:  # an unusable model must not wait for the first record
            self.scrubber(*self.models)

    def scrubber(self, code: str) -> LanguageScrubber:
        """Return the scrubber of one language."""
        if code not in self._scrubbers:
            section = self._section.model_copy(update={"language": code})
            self._scrubbers[code] = LanguageScrubber(section, self.models[code], self._key)
        return self._scrubbers[code]

    def scrub(self, records: Sequence[RawRecord]) -> Scrubbed:
        """Scrub some records; each is either in ``records`` or in ``quarantined`` of the result."""
        return gathered(self.examine(records))

    def examine(self, records: Sequence[RawRecord]) -> list[Clean | Quarantined]:
        """Scrub some records and return what was found where, one result for each record, in order."""
        codes = [self.language_of(record) for record in records]
        done = {
            code: iter(self.scrubber(code).examine([raw for raw, own in zip(records, codes, strict=True) if own == code]))
            for code in dict.fromkeys(codes)
            if code in self.models
        }
        return [
            next(done[code]) if code in done else Quarantined(raw.position, Reason.OTHER_LANGUAGE)
            for raw, code in zip(records, codes, strict=True)
        ]

    def language_of(self, record: RawRecord) -> str:
        """Return the code of the language to read a record in; of several languages, the one that the record is surely in.

        The answer depends on this record alone, so that no record changes how another one is scrubbed.
        """
        if len(self.models) == 1:
            return next(iter(self.models))
        try:
            return identifier().language_of("\n".join(map(normalise, record.fields.values())))
        except (UnfitText, TypeError, AttributeError):  # the scrubber of any language refuses such a record
            return next(iter(self.models)) if record.fields else UNKNOWN

    def mask(self, text: str) -> str:
        """Mask the tags of a scrubbed text, so that another detector reads only the text between them."""
        for scrubber in self._scrubbers.values():
            text = scrubber.mask(text)
        return text
