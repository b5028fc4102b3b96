"""Terms and numbers of a domain stay, and what names a person goes."""

from collections.abc import Mapping

import pytest

from privacy.detect.domains.harmless import Harmless
from privacy.detect.domains.numbers import HARMLESS
from privacy.detect.domains.terms import Terms, tokens
from privacy.detect.findings import Finding
from privacy.detect.languages.registry import language


@pytest.fixture(scope="module")
def harmless() -> Harmless:
    return Harmless(Terms.of(["medical", "banking", "legal"], ["Kessler ward"]), language("en"), None, bare_numbers=True)


def left(harmless: Harmless, text: str, word: str, label: str = "PERSON", score: float = 0.25) -> list[str]:
    """Return what remains of a finding on a word of the text."""
    start = text.index(word)
    return [text[f.start : f.end] for f in harmless.keep(text, [Finding(label, start, start + len(word), score)])]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("What is Parkinson's disease?", "Parkinson"),
        ("She has Hashimoto's thyroiditis.", "Hashimoto"),
        ("He takes Lipitor daily.", "Lipitor"),
        ("The Sharpe ratio is low.", "Sharpe"),
        ("A Tomlin order was agreed.", "Tomlin"),
        ("Moved to the Kessler ward.", "Kessler ward"),
    ],
)
def test_a_word_that_is_a_name_elsewhere_stays_in_its_term(harmless: Harmless, text: str, word: str) -> None:
    assert left(harmless, text, word) == []


@pytest.mark.parametrize(
    ("text", "word", "score"),
    [
        ("Mr Parkinson rang.", "Parkinson", 0.25),
        ("Mr Parkinson disease clinic", "Parkinson", 0.25),
        ("Seen by Dr Foley today.", "Foley", 0.6),
        ("Foley signed the form.", "Foley", 0.25),
        ("Anna's test was positive.", "Anna", 0.25),
    ],
)
def test_a_person_goes_even_if_a_term_is_called_like_that(harmless: Harmless, text: str, word: str, score: float) -> None:
    assert left(harmless, text, word, score=score) == [word]


def test_a_person_whom_a_title_names_is_no_disease_further_on(harmless: Harmless) -> None:
    text = "Mr Kowalski came back. Kowalski disease was ruled out."
    again = Finding("PERSON", text.rindex("Kowalski"), text.rindex("Kowalski") + 8, 0.26)
    assert harmless.keep(text, [again]) == ()
    assert harmless.keep(text, [again], [Finding("PERSON", 3, 11, 0.6)]) == (again,)


@pytest.fixture(scope="module")
def listed() -> Harmless:
    return Harmless(Terms.of(["medical", "banking", "legal"]), language("en"), language("en").words(), bare_numbers=True)


@pytest.mark.parametrize(
    ("text", "word", "label"),
    [
        ("Burrill Crohn rang at noon.", "Crohn", "PERSON"),  # right after a first name
        ("Seen by Emma Lipitor again.", "Lipitor", "PERSON"),
        ("patient Kowalski disease progression", "Kowalski", "PERSON"),  # a word announces a person
        ("Samantha Bašić writes songs.", "Bašić", "PERSON"),  # not the word "basic"
    ],
)
def test_a_word_of_a_domain_hides_no_person_that_the_text_shows(listed: Harmless, text: str, word: str, label: str) -> None:
    assert left(listed, text, word, label) == [word]


@pytest.mark.parametrize(
    ("text", "word", "label"),
    [
        ("The Supreme Court reversed.", "The Supreme Court", "ORGANIZATION"),
        ("The Statute of Limitations has run.", "Statute of Limitations", "ORGANIZATION"),
        ("A Late Payment Fee was charged.", "Late Payment Fee", "ORGANIZATION"),
        ("My Visa card was declined.", "Visa", "ORGANIZATION"),
        ("The IBAN is wrong.", "IBAN", "PERSON"),
        ("The KYC review is open.", "KYC", "PERSON"),
        ("FDIC does not apply.", "FDIC", "ORGANIZATION"),
        ("GDPR Article 17 gives a right.", "GDPR Article", "ORGANIZATION"),
        ("Warsaw breakage syndrome was found.", "Warsaw", "LOCATION"),
        ("Billroth II anastomosis was intact.", "Billroth", "PERSON"),
        ("SNOMED CT code 44054006 was recorded.", "SNOMED", "PERSON"),
        ("Bill to:\n  the client", "Bill", "PERSON"),
    ],
)
def test_a_term_of_common_words_a_brand_or_an_abbreviation_stays(listed: Harmless, text: str, word: str, label: str) -> None:
    assert left(listed, text, word, label) == []


@pytest.mark.parametrize(
    ("text", "word", "label"),
    [
        ("Premier Clinic wrote to me.", "Premier Clinic", "ORGANIZATION"),
        ("General Motors wrote to me.", "General Motors", "ORGANIZATION"),
        ("Mr SMITH asked for a refund.", "SMITH", "PERSON"),
        ("The SMITH family moved.", "SMITH", "PERSON"),
        ("Kowalska wrote about kidney disease.", "Kowalska", "PERSON"),
        ("Bill rang.", "Bill", "PERSON"),
        ("ZOLAK does not apply.", "ZOLAK", "ORGANIZATION"),  # five capitals may be a family name on no list
        ("He was seen by a Laotian patient.", "Laotian", "NRP"),
        ("She lives with a Laotian fishing crew.", "Laotian", "NRP"),
        ("Chief Nurse Bond left.", "Bond", "PERSON"),
    ],
)
def test_what_only_looks_like_such_a_term_goes(listed: Harmless, text: str, word: str, label: str) -> None:
    assert left(listed, text, word, label) == [word]


@pytest.mark.parametrize("number", ["6.3 years", "W-8BEN", "1099-INT", "48 mL/min/1.73 m2"])
def test_parts_of_years_forms_and_rates_for_a_surface_are_harmless(number: str) -> None:
    assert any(form.fullmatch(number) for form in HARMLESS)


@pytest.mark.parametrize("number", ["63 years", "W-8842", "1234-BCD"])
def test_ages_and_plates_are_no_forms(number: str) -> None:
    assert not any(form.fullmatch(number) for form in HARMLESS)


def test_the_rest_of_a_guess_goes_without_the_drug_in_it(harmless: Harmless) -> None:
    assert left(harmless, "gave Kowalska Lipitor today", "Kowalska Lipitor") == ["Kowalska"]


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


def test_a_telephone_number_after_a_word_of_the_domain_goes(harmless: Harmless) -> None:
    assert left(harmless, "Call the clinic on 020 7946 0018.", "020 7946 0018", "PHONE_NUMBER", 0.4) == ["020 7946 0018"]


def test_spellings_of_one_term_are_one() -> None:
    assert tokens("Sj\u00f6gren's syndrome") == tokens("Sjogren syndrome")
    assert tokens("Barrett's oesophagus") == tokens("Barrett esophagus")


def test_lists_hold_no_word_twice_and_no_hidden_phrase() -> None:
    found: Mapping[str, Terms] = {domain: Terms.of([domain]) for domain in ("medical", "banking", "legal")}
    assert all(" " not in word for terms in found.values() for word in terms.words)
    assert all(" " in phrase for terms in found.values() for phrase in terms.phrases)
