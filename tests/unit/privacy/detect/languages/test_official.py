"""Official identifiers of each language's countries: found as printed, and not with wrong check digits."""

import pytest
from presidio_analyzer import PatternRecognizer

from privacy.detect.languages.registry import LANGUAGES
from privacy.detect.recognisers.base import RuleRecogniser
from privacy.detect.recognisers.numbers import IdNumber
from privacy.detect.recognisers.phones import Phone
from privacy.detect.recognisers.registry import pattern_recognisers

# By language: a number as printed, and the same with one digit or letter changed.
NUMBERS = [
    ("de", "36 574 261 809", "36 574 261 808"),  # Steuer-ID
    ("de", "36574261809", "36574261890"),
    ("de", "15 070649 C 103", "15 070649 C 104"),  # Rentenversicherung
    ("de", "DE136695976", "DE136695978"),  # Umsatzsteuer
    ("de", "1237 010180", "1238 010180"),  # Austrian social insurance
    ("de", "ATU13585627", "ATU13585626"),
    ("de", "756.9217.0769.85", "756.9217.0769.84"),  # Swiss AHV
    ("de", "CHE-100.155.212", "CHE-100.155.213"),
    ("fr", "2 95 10 99 126 111 93", "2 95 10 99 126 111 92"),  # NIR
    ("fr", "295109912611193", "295109912611139"),
    ("fr", "732 829 320 00074", "732 829 320 00075"),  # SIRET
    ("fr", "732 829 320", "732 829 321"),  # SIREN
    ("fr", "FR 40 303265045", "FR 41 303265045"),  # TVA
    ("fr", "85.07.30-033.28", "85.07.30-033.82"),  # Belgian national number
    ("fr", "756.9217.0769.85", "756.9217.0769.84"),
    ("es", "54362315-K", "54362315-Z"),  # DNI
    ("es", "X-2482300W", "X-2482300A"),  # NIE
    ("es", "J99216582", "J99216583"),  # CIF
    ("es", "28 12345678 40", "28 12345678 41"),  # seguridad social
    ("es", "BOXW310820HNERXN09", "BOXW310820HNERXN08"),  # CURP
    ("es", "12.531.909-2", "12.531.909-3"),  # RUT
    ("es", "20-05536168-2", "20-05536168-3"),  # CUIT
]


@pytest.fixture(scope="module")
def own() -> dict[str, list[PatternRecognizer]]:
    """Build the recognisers of official numbers of each language, without those that serve every language."""
    return {code: [r(supported_language=code) for r in LANGUAGES[code].national()] for code in ("de", "fr", "es")}


def covers(recognisers: list[PatternRecognizer], number: str) -> bool:
    """Return whether a recogniser that checks digits covers a number whole; Presidio gives such findings the score 1."""
    text = f"- {number} -"
    ours = [r for one in recognisers if isinstance(one, RuleRecogniser) for r in one.find(text)]
    presidios = [one for one in recognisers if not isinstance(one, RuleRecogniser)]
    theirs = [r for one in presidios for r in one.analyze(text, one.supported_entities) if r.score == 1.0]
    return any(r.start <= 2 and r.end >= 2 + len(number) for r in [*ours, *theirs])


@pytest.mark.parametrize(("code", "right", "wrong"), NUMBERS)
def test_an_official_number_is_found_as_printed_and_not_with_wrong_check_digits(
    code: str, right: str, wrong: str, own: dict[str, list[PatternRecognizer]]
) -> None:
    assert covers(own[code], right)
    assert not covers(own[code], wrong)


@pytest.mark.parametrize("wrong", ["36574261890", "15070649C104", "756.9217.0769.84", "295109912611139", "12345678-Z"])
def test_a_mistyped_number_still_goes_as_a_number(wrong: str) -> None:
    rules = [IdNumber(supported_language="de"), Phone(supported_language="de")]
    assert any(f.start <= 2 and f.end >= 2 + len(wrong.partition("-")[0]) for r in rules for f in r.find(f"- {wrong} -"))


@pytest.mark.parametrize("code", ["de", "fr", "es"])
@pytest.mark.parametrize("text", ["im Jahr 2021", "12,50", "3.14159", "10 20 30 40 50 60", "2021-05-03", "v. 10.15.7"])
def test_plain_numbers_are_no_official_numbers(code: str, text: str, own: dict[str, list[PatternRecognizer]]) -> None:
    assert not [r for one in own[code] for r in one.analyze(text, one.supported_entities)]


def test_all_recognisers_of_a_language_read_that_language() -> None:
    for code, language in LANGUAGES.items():
        assert all(each.supported_language == code for each in pattern_recognisers(language))
