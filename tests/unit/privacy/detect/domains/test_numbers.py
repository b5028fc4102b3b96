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


@pytest.mark.parametrize("number", ["63 years", "W-8842", "1234-BCD", "S-123 ABC", "10-KX"])
def test_ages_and_plates_are_no_forms(number: str) -> None:
    assert not any(form.fullmatch(number) for form in HARMLESS)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("WBC 14500, platelets 245000.", {"14500", "245000"}),
        ("An HTLV-1-associated disease, 2-hydroxybutyric acid.", {"HTLV-1-associated", "2-hydroxybutyric"}),
        ("The login is anna-kowalska-1987.", set()),
        ("Platelets 245000, kowalska 245000.", set()),  # a word with a capital may be a name, and so may a word of no domain
    ],
)
def test_a_count_is_harmless_after_an_abbreviation_or_a_word_of_the_domain(text: str, numbers: set[str]) -> None:
    lexicon = Lexicon(Terms.of(["medical"]), language("en"), None)
    assert {text[start:end] for start, end in places(text, lexicon)} == numbers
