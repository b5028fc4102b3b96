"""Base classes of recognisers; a subclass sets the label of its findings and the rules that find them."""

from presidio_analyzer import Pattern, PatternRecognizer, RecognizerResult
from presidio_analyzer.nlp_engine import NlpArtifacts

from privacy.detect.rules import DIGIT_GROUP, FLAGS, Rules


class RuleRecogniser(PatternRecognizer):
    """Recognises what its rules describe.

    A subclass sets ``label`` and ``rules``; the constructor takes them for the rules of one language. Scores only decide
    the type of a union of findings; no finding is dropped for a low score.
    """

    label: str
    rules: Rules

    def __init__(self, supported_language: str, label: str = "", rules: Rules = ()) -> None:
        super().__init__(
            label or self.label,
            supported_language=supported_language,
            patterns=[Pattern(name, expression, score) for name, expression, score in rules or self.rules],
            global_regex_flags=FLAGS,
        )


class DigitRecogniser(RuleRecogniser):
    """Recognises with rules that all need a digit; a text without a digit, as most scrubbed texts are, costs no time."""

    def analyze(
        self,
        text: str,
        entities: list[str],
        nlp_artifacts: NlpArtifacts | None = None,
        regex_flags: int | None = None,
    ) -> list[RecognizerResult]:
        """Apply the rules to a text that has a digit; find nothing in any other."""
        if not DIGIT_GROUP.search(text):
            return []
        results: list[RecognizerResult] = super().analyze(text, entities, nlp_artifacts, regex_flags)
        return results
