import pytest

from privacy.detect.casing import Casing, casing, restore, titled
from privacy.detect.confusables import fold
from privacy.detect.languages.base import PLANTED_KINDS
from privacy.detect.languages.en.language import ENGLISH
from privacy.detect.languages.en.words import function_words, load_words
from privacy.detect.levels import LEVELS
from privacy.detect.sweeps import Sweeper
from privacy.detect.words import WordLists
from privacy.leakage.planted import CHECKSUMMED, Planter
from shared.records.types import RawRecord


@pytest.fixture(scope="module")
def lists() -> WordLists:
    return load_words()


def swept(lists: WordLists, level: str, text: str) -> set[str]:
    return {text[f.start : f.end] for f in Sweeper(LEVELS[level], ENGLISH, lists).sweep(text)}  # type: ignore[index]


@pytest.mark.parametrize("name", ["john", "smith", "garcia", "olga", "nowak", "müller", "muller"])
def test_a_listed_name_is_a_name(lists: WordLists, name: str) -> None:
    assert lists.is_name(name)


@pytest.mark.parametrize("word", ["the", "will", "may", "pain", "doctor", "walking", "don't", "summer", "covid"])
def test_an_english_word_is_no_name(lists: WordLists, word: str) -> None:
    assert lists.is_common(word)


def test_a_word_that_needs_a_capital_is_proper(lists: WordLists) -> None:
    assert lists.is_proper("trondheim")
    assert not lists.is_proper("monday")
    assert not lists.is_proper("pain")


def test_the_strict_level_finds_what_the_standard_one_finds_and_more(lists: WordLists) -> None:
    text = "Please tell Zorvel Quandrin that Reception on floor 4711 called garcia"
    standard, strict = swept(lists, "standard", text), swept(lists, "strict", text)
    assert {"Zorvel", "Quandrin", "garcia"} <= standard <= strict
    assert {"Reception", "4711"} <= strict - standard


def test_small_letters_do_not_hide_names(lists: WordLists) -> None:
    text = "this is john garcia from trondheim, my knee hurts"
    assert casing(text) is Casing.LOWER
    assert {"john", "garcia"} <= swept(lists, "standard", text)
    assert restore(text, lists, ENGLISH.always_capital) == "This is John Garcia from Trondheim, my knee hurts"


@pytest.mark.parametrize("text", ["straße ŉ ǰ im haus", "ß", "İstanbul", ""])
def test_guessing_capitals_never_moves_a_character(lists: WordLists, text: str) -> None:
    assert len(restore(text, lists, ENGLISH.always_capital)) == len(titled(text, function_words())) == len(text)


@pytest.mark.parametrize(
    ("text", "style"),
    [("Ann said hello to me", "usual"), ("PLEASE CALL ANN BERG NOW", "upper"), ("123", "usual"), ("ok thanks ann", "lower")],
)
def test_casing_is_told(text: str, style: str) -> None:
    assert casing(text) == style


def test_lookalikes_fold_only_in_mixed_words_and_digits_become_ascii() -> None:
    assert fold("\u0408ohn \u0421\u0430\u0440\u0430 \u0664\u0661") == "John \u0421\u0430\u0440\u0430 41"
    assert fold(fold("J\u043ehn")) == fold("J\u043ehn") == "John"


def test_planted_names_stand_in_no_list_and_spans_hold_the_values(lists: WordLists) -> None:
    records = [RawRecord({"text": ("Hello.", "all in small letters")[i % 2]}, None, i) for i in range(54)]
    planted = Planter(ENGLISH, 3).plant(records, len(records))
    assert {record.spans["text"][0].label for record in planted} == PLANTED_KINDS >= CHECKSUMMED
    for record in planted:
        span = record.spans["text"][0]
        value = record.fields["text"][span.start : span.end]
        assert value
        if span.label == "PERSON":
            words = value.casefold().split()
            assert not [w for w in words if w in lists.locales or w in lists.places or lists.is_common(w)]


def test_a_rare_word_of_no_dictionary_is_a_name_with_a_capital_only(lists: WordLists) -> None:
    assert lists.is_common("stavanger")
    assert not lists.is_common("stavanger", capital=True)
    assert lists.is_common("hospital", capital=True)
