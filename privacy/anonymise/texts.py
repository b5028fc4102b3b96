"""Scrub plain strings with the site's anonymiser, without records, files or a run."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from privacy.anonymise.polyglot import Polyglot
from privacy.anonymise.scrubbed import Quarantined
from privacy.anonymise.scrubber import Clean
from privacy.replace.operators import TAG
from shared.config.anonymise import AnonymiseSection
from shared.config.explain import first_line
from shared.errors import ConfigError
from shared.records.types import RawRecord, Span

FIELD = "text"


@dataclass(frozen=True)
class ScrubbedText:
    """A scrubbed text; its repr shows no text, because what the anonymiser missed must not reach a log.

    Attributes
    ----------
    text
        The scrubbed text; None if the text was held back.
    spans
        Where personal data was replaced: type, start and end (excluded) in the scrubbed text.
    reason
        Why the text was held back, such as ``empty`` or ``residual_found``; None if it was not.
    """

    text: str | None = field(repr=False)
    spans: tuple[Span, ...] = ()
    reason: str | None = None


class Scrubber:
    """Finds personal data in texts and replaces it, as a site does with its records before training.

    The language model is loaded once. Texts stay in this process, and no error shows any of them.

    Parameters
    ----------
    language
        Language of the texts, or ``auto``.
    level
        ``fast``, ``standard`` or ``strict``; a stricter level finds more and replaces more harmless words.
    options
        Further fields of ``[anonymise]``, such as ``operator="surrogate"`` (``hushtune config anonymise`` lists them).

    Raises
    ------
    ConfigError
        There is no such option, or its value is not allowed.
    ModelError
        The spaCy model is not found or cannot be loaded.

    Examples
    --------
    >>> from hushtune import Scrubber
    >>> scrubber = Scrubber(language="en", level="standard")
    >>> (done,) = scrubber.scrub(["Dear Dr. Miller, write to anna.berg@acme.com about my prescription."])
    >>> "anna.berg@acme.com" in done.text
    False
    >>> [span.label for span in done.spans]
    ['PERSON', 'EMAIL_ADDRESS']
    """

    def __init__(self, language: str = "en", level: str = "standard", **options: Any) -> None:
        try:
            section = AnonymiseSection.model_validate({"language": language, "level": level, **options})
        except ValidationError as error:
            raise ConfigError(f"Scrubber: {first_line(AnonymiseSection, error)}") from None
        self._scrubber = Polyglot(section, secrets.token_bytes(32))

    def scrub(self, texts: Sequence[str]) -> list[ScrubbedText]:
        """Scrub texts, each by itself.

        Parameters
        ----------
        texts
            The texts; equal names get equal tags within one text only.

        Returns
        -------
        list of ScrubbedText
            One result for each text, in order. A text that cannot be scrubbed is held back with a reason.

        Raises
        ------
        ConfigError
            ``texts`` is a single string.
        """
        if isinstance(texts, str):
            raise ConfigError("Scrubber.scrub: takes a list of texts; put the text into a list")
        records = [RawRecord({FIELD: text}, None, number) for number, text in enumerate(texts, start=1)]
        return [_result(done) for done in self._scrubber.examine(records)]


def _result(done: Clean | Quarantined) -> ScrubbedText:
    """Return the scrubbed text with the places of its replacements, or the reason why it was held back."""
    if isinstance(done, Quarantined):
        return ScrubbedText(None, (), str(done.reason))
    spans, longer = [], 0  # by how many characters the text has become longer so far
    for tag in TAG.finditer(done.tagged[FIELD]):
        if original := done.table.originals.get(tag[0]):
            value, start = done.table.stand_ins.get(tag[0], tag[0]), tag.start() + longer
            spans.append(Span(original.label, start, start + len(value)))
            longer += len(value) - len(tag[0])
    return ScrubbedText(done.record.fields[FIELD], tuple(spans))
