import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.detect.languages.en.language import ENGLISH
from privacy.replace.dates import offset_of, shift
from privacy.replace.surrogates import Surrogates, new_faker

FAKER = new_faker(ENGLISH.surrogates.locales)
KEY = b"k" * 32
names = st.from_regex(r"[A-Z][a-z]{2,8}( [A-Z][a-z]{2,8})?", fullmatch=True)


def surrogates(document: bytes = b"1", originals: tuple[str, ...] = (), key: bytes = KEY) -> Surrogates:
    return Surrogates(FAKER, ENGLISH, key, document, originals)


@settings(deadline=None, max_examples=25)
@given(names)
def test_a_value_has_one_surrogate_in_a_document_and_it_is_no_original(name: str) -> None:
    made = surrogates(originals=(name,))
    first = made.of("PERSON", name)
    assert first == made.of("PERSON", name)
    assert not set(str(first).casefold().split()) & set(name.casefold().split())


@settings(deadline=None, max_examples=25)
@given(names, names)
def test_two_values_never_share_a_surrogate(one: str, other: str) -> None:
    made = surrogates(originals=(one, other))
    assert (made.of("ORGANIZATION", one) == made.of("ORGANIZATION", other)) == (one.casefold() == other.casefold())


def test_surrogates_cannot_be_linked_across_documents_or_keys() -> None:
    value = "Zorvel Quandrin"
    made = {surrogates(bytes([i])).of("PERSON", value) for i in range(40)}
    assert len(made) > 30
    assert surrogates(key=b"x" * 32).of("PERSON", value) != surrogates().of("PERSON", value)
    assert surrogates().of("PERSON", value) == surrogates().of("PERSON", value)


def test_a_surname_alone_keeps_the_surrogate_that_it_has_in_the_whole_name() -> None:
    made = surrogates(originals=("Zorvel Quandrin",))
    whole = str(made.of("PERSON", "Zorvel Quandrin"))
    assert made.of("PERSON", "Quandrin") == whole.split()[-1]
    assert made.of("PERSON", "quandrin") == whole.split()[-1].lower()


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("AGE", "52 years old"),
        ("AGE", "93M"),
        ("AGE", "1 year old"),
        ("AGE", "90th birthday"),
        ("URL", "https://www.example.org/x"),
        ("EMAIL_ADDRESS", "a@com.net.org.example"),
    ],
)
def test_words_that_name_nobody_may_stay_so_that_a_surrogate_is_found(label: str, value: str) -> None:
    made = surrogates(originals=(value,)).of(label, value)
    assert made is not None
    assert not set(re.findall(r"\d+", made)) & set(re.findall(r"\d+", value))
    assert made != value


def test_an_age_in_words_keeps_its_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Surrogates, "_is_age", lambda *_: True)  # whatever form the rules of a language allow
    assert surrogates(originals=("ninety years old",)).of("AGE", "ninety years old") is None


def test_a_value_for_which_no_surrogate_is_free_keeps_its_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    made = surrogates(originals=("Zorvel Quandrin",))
    monkeypatch.setattr(Surrogates, "_makers", lambda _: dict.fromkeys(("PERSON first", "PERSON last"), lambda _: "Zorvel"))
    assert made.of("PERSON", "Zorvel Quandrin") is None


def test_numbers_keep_their_form_and_checksummed_identifiers_have_no_surrogate() -> None:
    made = surrogates()
    number = str(made.of("PHONE_NUMBER", "+44 20 7946-0018"))
    assert [c for c in number if not c.isdigit()] == ["+", " ", " ", "-"]
    assert number != "+44 20 7946-0018"
    assert made.of("CREDIT_CARD", "4111111111111111") is None


@given(names, st.from_regex(r"\+\d{2} \d{2} \d{6,9}|\d{4}|[a-z]{3}@[a-z]{3}\.org", fullmatch=True))
def test_a_finding_that_is_more_than_a_name_or_an_age_keeps_its_tag(name: str, more: str) -> None:
    """Findings that overlap become one; if words alone were replaced, a number that ran into a name would stay."""
    made = surrogates(originals=(name, more))
    for label, value in (("PERSON", f"{name} {more}"), ("PERSON", f"{more} {name}"), ("AGE", f"34 {name}"), ("AGE", more)):
        assert made.of(label, value) is None
    assert made.of("PERSON", f"{name}, {name[0]}.")
    assert str(made.of("AGE", "34 years old")).endswith(" years old")
    assert str(made.of("AGE", "34")).isdecimal()


@given(st.integers(0, 2**64))
def test_the_offset_of_dates_is_never_zero_and_at_most_half_a_year(number: int) -> None:
    assert 1 <= abs(offset_of(number)) <= 182


@pytest.mark.parametrize(
    ("text", "days", "moved"),
    [
        ("2021-11-12", 85, "2022-02-05"),
        ("2021-11-12 9:15", 85, "2022-02-05 09:15"),
        ("2021-3-4", 30, "2021-4-3"),
        ("28/02/2021", 1, "01/03/2021"),
        ("3 March 1984", 30, "2 April 1984"),
        ("2021-03-04 23:08:55", 1, "2021-03-05 23:08:55"),
        ("friday", 1, "saturday"),
        ("last spring", 1, None),
        ("1984", 1, None),
    ],
)
def test_a_date_moves_and_keeps_its_form(text: str, days: int, moved: str | None) -> None:
    assert shift(text, days, ENGLISH.dates) == moved
