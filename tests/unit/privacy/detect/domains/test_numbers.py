"""Numbers that point at nobody are told from identifiers."""

import pytest

from privacy.detect.domains.lexicon import Lexicon
from privacy.detect.domains.numbers import HARMLESS, places
from privacy.detect.domains.terms import Terms
from privacy.detect.languages.registry import language


@pytest.mark.parametrize(
    "number",
    ["20 mg", "130.0 - 170.0", "4.5 x 10^9/L", "T2N0M0", "J45.909", "157.0 g/L", "132/84"],
)
def test_numbers_with_the_form_of_a_measure_or_a_code_are_harmless(number: str) -> None:
    assert any(form.fullmatch(number) for form in HARMLESS)


@pytest.mark.parametrize(
    "number", ["020 7946 0018", "555-1234", "12/03/1984", "4111 1111 1111 1111", "0361/22 33 44", "12345678"]
)
def test_numbers_with_the_form_of_an_identifier_are_not(number: str) -> None:
    assert not any(form.fullmatch(number) for form in HARMLESS)


@pytest.mark.parametrize("number", ["6.3 years", "W-8BEN", "1099-INT", "48 mL/min/1.73 m2"])
def test_parts_of_years_forms_and_rates_for_a_surface_are_harmless(number: str) -> None:
    assert any(form.fullmatch(number) for form in HARMLESS)


@pytest.mark.parametrize("number", ["H-1B", "S-3MEF", "10-K", "5 Gray"])
def test_visas_registration_statements_and_units_in_full_are_harmless(number: str) -> None:
    assert any(form.fullmatch(number) for form in HARMLESS)


@pytest.mark.parametrize(
    "number",
    [
        "118 (115-165)",
        "2+",
        "1:640",
        "1/1000",
        "2/10 net 30",
        "550 U.S. 544 (2007)",
        "C-311/18",
        "95/46/EC",
        "s. 172 CA 2006",
        "pacs.008.001.08",
        "I:E 1:2",
    ],
)
def test_results_with_their_range_titres_terms_of_payment_and_citations_are_harmless(number: str) -> None:
    assert any(form.fullmatch(number) for form in HARMLESS)


@pytest.mark.parametrize("number", ["020 (794-6018)", "1:30", "1/2000", "6/12", "0181 (115-165)", "19-1392"])
def test_telephone_numbers_times_months_and_numbers_of_cases_are_not(number: str) -> None:
    assert not any(form.fullmatch(number) for form in HARMLESS)


@pytest.mark.parametrize("number", ["63 years", "W-8842", "1234-BCD", "S-123 ABC", "10-KX"])
def test_ages_and_plates_are_no_forms(number: str) -> None:
    assert not any(form.fullmatch(number) for form in HARMLESS)


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
def test_a_count_is_harmless_after_an_abbreviation_or_a_word_of_the_domain(text: str, numbers: set[str]) -> None:
    lexicon = Lexicon(Terms.of(["medical"]), language("en"), None)
    assert {text[start:end] for start, end in places(text, lexicon)} == numbers
