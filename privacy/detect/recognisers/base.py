"""Base classes of recognisers; a subclass sets the label of its findings and the rules that find them."""

from collections.abc import Iterator

import regex
from presidio_analyzer import Pattern, PatternRecognizer
from presidio_analyzer.pattern_recognizer import REGEX_TIMEOUT_SECONDS

from privacy.detect.findings import Finding
from privacy.detect.rules import DIGIT_GROUP, FLAGS, Rules


class RuleRecogniser(PatternRecognizer):
    """Recognises what its rules describe.

    A subclass sets ``label`` and ``rules``; the constructor takes them for the rules of one language. Scores only decide
    the type of a union of findings; no finding is dropped for a low score.
    """

    label: str
    rules: Rules

    def __init__(self, supported_language: str, label: str = "", rules: Rules = ()) -> None:
        own = rules or self.rules
        super().__init__(
            label or self.label,
            supported_language=supported_language,
            patterns=[Pattern(name, expression, score) for name, expression, score in own],
            global_regex_flags=FLAGS,
        )
        self._compiled = tuple((regex.compile(expression, FLAGS), score) for _, expression, score in own)

    def find(self, text: str) -> Iterator[Finding]:
        """Yield what ``analyze`` finds, without the explanations, which take more time than the rules.

        Raises
        ------
        TimeoutError
            A rule took longer than Presidio allows.
        """
        for expression, score in self._compiled:
            for match in expression.finditer(text, timeout=REGEX_TIMEOUT_SECONDS):
                if match.end() > match.start() and self._is_valid(match[0]):
                    yield Finding(self.supported_entities[0], match.start(), match.end(), score)

    def _is_valid(self, value: str) -> bool:
        """Return whether a match counts: it has the form, and right check digits where the identifier has any.

        A number with wrong check digits is not that identifier at any level. If it was mistyped, the rules for long numbers
        find it: those of ``numbers`` at every level, and the sweep at ``strict``.
        """
        return not self.invalidate_result(value) and self.validate_result(value) is not False


class DigitRecogniser(RuleRecogniser):
    """Recognises with rules that all need a digit; a text without a digit, as most scrubbed texts are, costs no time."""

    def find(self, text: str) -> Iterator[Finding]:
        """Yield what the rules find in a text that has a digit, and nothing in any other text."""
        return super().find(text) if DIGIT_GROUP.search(text) else iter(())
