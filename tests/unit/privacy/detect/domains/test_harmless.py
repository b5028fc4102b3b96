"""Terms and numbers of a domain stay, and what names a person goes."""

import pytest

from privacy.detect.domains.harmless import Harmless
from privacy.detect.domains.terms import Terms
from privacy.detect.findings import Finding
from privacy.detect.languages.registry import language


@pytest.fixture(scope="module")
def harmless() -> Harmless:
    return Harmless(Terms.of(["medical", "banking", "legal"], ["Kessler ward"]), language("en"), None, bare_numbers=True)


def left(harmless: Harmless, text: str, word: str, label: str = "PERSON", score: float = 0.25) -> list[str]:
    """Return what remains of a finding on a word of the text."""
    start = text.index(word)
    return [text[f.start : f.end] for f in harmless.filtered(text, [Finding(label, start, start + len(word), score)])]


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


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Gleason 4+3=7 on biopsy.", "Gleason"),
        ("Killip II on the unit.", "Killip II"),
        ("Glasgow 15 now.", "Glasgow"),
        ("ANA 1:640, speckled.", "ANA"),
        ("Na 129 today.", "Na"),
    ],
)
def test_a_scale_or_a_test_stays_before_its_value(harmless: Harmless, text: str, word: str) -> None:
    assert left(harmless, text, word) == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Mr Gleason 4 tablets", "Gleason"),
        ("Braden, 14, came in.", "Braden"),
        ("Gleason 45 years old", "Gleason"),
        ("Alvarado 8, Madrid", "Alvarado"),
        ("Patient Clark B. called", "Clark"),
        ("Judy 1.5 hours", "Judy"),
    ],
)
def test_a_person_or_a_street_called_like_a_scale_goes(harmless: Harmless, text: str, word: str) -> None:
    assert left(harmless, text, word) == [word]


def test_a_date_that_was_guessed_over_two_values_stays(harmless: Harmless) -> None:
    assert left(harmless, "BP 118/72 HR 80 now", "118/72 HR 80", "DATE_TIME") == []
    assert left(harmless, "On 118/72 May 80 now", "118/72 May 80", "DATE_TIME") == ["118/72 May 80"]


def test_a_person_whom_a_title_names_is_no_disease_further_on(harmless: Harmless) -> None:
    text = "Mr Kowalski came back. Kowalski disease was ruled out."
    again = Finding("PERSON", text.rindex("Kowalski"), text.rindex("Kowalski") + 8, 0.26)
    assert harmless.filtered(text, [again]) == ()
    assert harmless.filtered(text, [again], [Finding("PERSON", 3, 11, 0.6)]) == (again,)


@pytest.fixture(scope="module")
def listed() -> Harmless:
    return Harmless(Terms.of(["medical", "banking", "legal"]), language("en"), language("en").words(), bare_numbers=True)


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
        ("Chvostek was positive.", "Chvostek", "PERSON"),  # only things are called so
        ("Zollinger-Ellison was excluded.", "Zollinger-Ellison", "PERSON"),  # a term without its kind
        ("The line of Schwalbe is visible.", "Schwalbe", "NRP"),
        ("A patent ductus Botalli was closed.", "Botalli", "PERSON"),
        ("The Bakri balloon was placed.", "Bakri", "PERSON"),
        ("An anti-Smith antibody was found.", "Smith", "PERSON"),
        ("Noncurrent liabilities rose.", "Noncurrent", "PERSON"),  # a compound of a common word
        ("Accrued Liabilities rose.", "Accrued Liabilities", "ORGANIZATION"),
        ("The SONIA rate fell.", "SONIA", "PERSON"),  # a name in small letters
        ("The BrS was known.", "BrS", "PERSON"),
        ("Is BV common?", "Is BV", "ORGANIZATION"),
    ],
)
def test_a_term_of_common_words_a_brand_or_an_abbreviation_stays(listed: Harmless, text: str, word: str, label: str) -> None:
    assert left(listed, text, word, label) == []


@pytest.mark.parametrize(
    ("text", "word", "label"),
    [
        ("Burrill Crohn rang at noon.", "Crohn", "PERSON"),  # right after a first name
        ("Seen by Emma Lipitor again.", "Lipitor", "PERSON"),
        ("patient Kowalski disease progression", "Kowalski", "PERSON"),  # a word announces a person
        ("Samantha Bašić writes songs.", "Bašić", "PERSON"),  # not the word "basic"
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
        ("patient Gorlin rang.", "Gorlin", "PERSON"),
        ("Gorlin J. rang.", "Gorlin", "PERSON"),
        ("Anna Gorlin rang.", "Gorlin", "PERSON"),
        ("The Kowalski balloon burst.", "Kowalski", "PERSON"),
        ("The house of Emma was sold.", "Emma", "PERSON"),
        ("The login is 85-maria-gonzalez.", "85-maria-gonzalez", "ID_NUMBER"),
    ],
)
def test_what_only_looks_like_such_a_term_goes(listed: Harmless, text: str, word: str, label: str) -> None:
    assert left(listed, text, word, label) == [word]


def test_the_rest_of_a_guess_goes_without_the_drug_in_it(harmless: Harmless) -> None:
    assert left(harmless, "gave Kowalska Lipitor today", "Kowalska Lipitor") == ["Kowalska"]


def test_a_telephone_number_after_a_word_of_the_domain_goes(harmless: Harmless) -> None:
    assert left(harmless, "Call the clinic on 020 7946 0018.", "020 7946 0018", "PHONE_NUMBER", 0.4) == ["020 7946 0018"]
