"""Numbers that point at nobody are told from identifiers."""

import pytest

from privacy.detect.domains.lexicon import Lexicon
from privacy.detect.domains.numbers import HARMLESS, places
from privacy.detect.domains.terms import Terms
from privacy.detect.languages.registry import language


@pytest.mark.parametrize(
    "number",
    [
        *(
            "20 mg",
            "130.0 - 170.0",
            "4.5 x 10^9/L",
            "T2N0M0",
            "157.0 g/L",
            "132/84",
            "6.3 years",
            "48 mL/min/1.73 m2",
            "5 Gray",
        ),
        *("J45.909", "W-8BEN", "1099-INT", "H-1B", "S-3MEF", "10-K"),  # codes, forms and visas
        *("118 (115-165)", "2+", "1:640", "1/1000", "I:E 1:2", "2/10 net 30"),  # results, titres and terms of payment
        *("550 U.S. 544 (2007)", "C-311/18", "95/46/EC", "s. 172 CA 2006", "pacs.008.001.08"),
    ],
)
def test_numbers_with_the_form_of_a_measure_a_code_or_a_citation_are_harmless(number: str) -> None:
    assert any(form.fullmatch(number) for form in HARMLESS)


@pytest.mark.parametrize(
    "number",
    [
        *("020 7946 0018", "555-1234", "0361/22 33 44", "020 (794-6018)", "0181 (115-165)"),
        *("12/03/1984", "1:30", "1/2000", "6/12", "63 years"),  # dates, times and ages
        *("4111 1111 1111 1111", "12345678", "19-1392", "W-8842", "1234-BCD", "S-123 ABC", "10-KX"),
    ],
)
def test_numbers_with_the_form_of_an_identifier_a_time_or_an_age_are_not(number: str) -> None:
    assert not any(form.fullmatch(number) for form in HARMLESS)


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon(Terms.of(["medical"]), language("en"), None)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("WBC 14500, platelets 245000.", {"14500", "245000"}),
        ("An HTLV-1-associated disease, 2-hydroxybutyric acid.", {"HTLV-1-associated", "2-hydroxybutyric"}),
        ("The login is anna-kowalska-1987.", set()),
        ("RR 18, PHQ-9 14, Braden 12, HR was 112", {"18", "14", "12", "112"}),
        ("MRN 18, DOB 12, age 94, Room 14, Anna 41, card 4417", set()),
        ("VA 6/9 right and 6/12 left; due on 6/12", {"6/9", "6/12"}),
        ("Sold US0378331005, not US0378331006", {"US0378331005"}),  # the last digit of a security's number is a check digit
        ("Platelets 245000, kowalska 245000.", set()),  # a word with a capital may be a name, and so may a word of no domain
    ],
)
def test_a_count_is_harmless_after_an_abbreviation_or_a_word_of_the_domain(
    lexicon: Lexicon, text: str, numbers: set[str]
) -> None:
    assert {text[start:end] for start, end in places(text, lexicon)} == numbers
