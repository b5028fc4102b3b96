"""Which patterns are looked for: a choice of Presidio's recognisers and our own general rules.

Scores decide only which type names a union of findings; nothing is dropped for a low score.
"""

from presidio_analyzer import Pattern, PatternRecognizer, RecognizerResult
from presidio_analyzer.nlp_engine import NlpArtifacts
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    CryptoRecognizer,
    DateRecognizer,
    EmailRecognizer,
    IbanRecognizer,
    IpRecognizer,
    MacAddressRecognizer,
    MedicalLicenseRecognizer,
    NhsRecognizer,
    SpacyRecognizer,
    UsSsnRecognizer,
    UuidRecognizer,
)

from privacy.detect.places import ADDRESSES, POSTCODES
from privacy.detect.rules import (
    ACCOUNTS,
    AGES,
    CALENDAR,
    COMPANIES,
    DATES,
    DIGIT_GROUP,
    FLAGS,
    HANDLES,
    LINKS,
    NUMBERS,
    PEOPLE,
    PHONES,
    RECORDS,
    SAID_NUMBERS,
    SPELT_EMAILS,
    TITLED,
    TOKENS,
    Rules,
)


class OpenEmail(EmailRecognizer):
    """E-mail addresses under any domain.

    Presidio's own rule drops addresses outside the public-suffix list, which it tries to download.
    """

    def validate_result(self, pattern_text: str) -> None:
        """Take every address as it is."""
        return None


class Numeric(PatternRecognizer):
    """Rules that all need a digit; many texts have none, and most have none left when they are read again."""

    def analyze(
        self,
        text: str,
        entities: list[str],
        nlp_artifacts: NlpArtifacts | None = None,
        regex_flags: int | None = None,
    ) -> list[RecognizerResult]:
        """Try the rules only where there is a digit."""
        if not DIGIT_GROUP.search(text):
            return []
        results: list[RecognizerResult] = super().analyze(text, entities, nlp_artifacts, regex_flags)
        return results


class Phone(Numeric):
    """Telephone numbers of any country: groups of digits, 7 to 15 digits in all (ITU-T E.164)."""

    def invalidate_result(self, pattern_text: str) -> bool:
        """Refuse too few or too many digits, years, rows of small numbers, blood pressures and decimal fractions."""
        groups = DIGIT_GROUP.findall(pattern_text)
        longest = max(map(len, groups))
        years = all(len(group) == 4 and group[:2] in ("19", "20") for group in groups)
        row = longest <= 2 and " " in pattern_text and pattern_text[0] not in "0+("
        fractions = longest <= 4 and "/" in pattern_text
        decimal = len(groups) == 2 and len(groups[0]) <= 2 and f"{groups[0]}.{groups[1]}" == pattern_text
        return not 7 <= sum(map(len, groups)) <= 15 or years or row or fractions or decimal


class LanguageModel(SpacyRecognizer):
    """What the language model names, without titles, and without times that point at nobody: "today", "daily"."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts | None = None) -> list[RecognizerResult]:
        """Read the entities that the language model has already found."""
        results: list[RecognizerResult] = super().analyze(text, entities, nlp_artifacts)
        for result in results:
            title = TITLED.match(text, result.start, result.end) if result.entity_type == "PERSON" else None
            if title:  # "Mrs Adeyemi" and "Adeyemi" are one person, with one tag
                result.start = title.end()
        return [r for r in results if r.entity_type != "DATE_TIME" or CALENDAR.search(text[r.start : r.end])]


def pattern_recognisers() -> list[PatternRecognizer]:
    """Every recogniser that reads the text alone."""
    presidio = (
        CreditCardRecognizer, CryptoRecognizer, DateRecognizer, IbanRecognizer, IpRecognizer, MacAddressRecognizer,
        MedicalLicenseRecognizer, NhsRecognizer, UsSsnRecognizer, UuidRecognizer,
    )  # fmt: skip
    numeric = {
        "IBAN_CODE": ACCOUNTS,
        "AGE": AGES, "STREET_ADDRESS": ADDRESSES, "POSTCODE": POSTCODES, "ID_NUMBER": NUMBERS, "RECORD_NUMBER": RECORDS,
    }  # fmt: skip
    return [
        *(recogniser() for recogniser in presidio),
        OpenEmail(),
        Phone("PHONE_NUMBER", patterns=_patterns(PHONES), global_regex_flags=FLAGS),
        *(Numeric(label, patterns=_patterns(rules), global_regex_flags=FLAGS) for label, rules in numeric.items()),
        PatternRecognizer("ORGANIZATION", patterns=_patterns(COMPANIES), global_regex_flags=FLAGS),
        Numeric("DATE_TIME", patterns=_patterns(DATES), global_regex_flags=FLAGS),
        PatternRecognizer("PERSON", patterns=_patterns(PEOPLE), global_regex_flags=FLAGS),
        PatternRecognizer("URL", patterns=_patterns(LINKS), global_regex_flags=FLAGS),
        PatternRecognizer("EMAIL_ADDRESS", name="SpeltEmail", patterns=_patterns(SPELT_EMAILS), global_regex_flags=FLAGS),
        PatternRecognizer(
            "ID_NUMBER", name="SaidNumber", patterns=_patterns((*SAID_NUMBERS, *TOKENS)), global_regex_flags=FLAGS
        ),
        PatternRecognizer("USERNAME", patterns=_patterns(HANDLES), global_regex_flags=FLAGS),
    ]


def _patterns(rules: Rules) -> list[Pattern]:
    """Presidio's form of our rules."""
    return [Pattern(name, expression, score) for name, expression, score in rules]
