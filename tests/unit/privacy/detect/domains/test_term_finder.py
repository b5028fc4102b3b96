"""A word that is a name elsewhere belongs to a term only where the text shows a term."""

import pytest

from privacy.detect.domains import kinds
from privacy.detect.domains.lexicon import Lexicon
from privacy.detect.domains.term_finder import TermFinder
from privacy.detect.domains.terms import Terms, plain
from privacy.detect.languages.registry import language


@pytest.fixture(scope="module")
def finder() -> TermFinder:
    english = language("en")
    return TermFinder(Lexicon(Terms.of(["medical", "legal"], ["Kessler ward"]), english, english.words()))


@pytest.mark.parametrize(
    ("text", "listed", "guessed"),
    [
        ("Moved to the Kessler ward.", {"Kessler", "ward"}, set()),
        ("Moved to Dr Kessler ward.", set(), set()),
        ("The Babinski sign was absent.", {"Babinski", "sign"}, set()),
        ("The Hallpike manoeuvre was done.", {"Hallpike", "manoeuvre"}, set()),
        ("He had a Kowal kidney scan.", set(), {"Kowal"}),
        ("Kowal class of 90", set(), set()),
        ("Kowal class B melanoma", {"Kowal", "class"}, set()),
    ],
)
def test_the_words_of_a_term_are_found_with_whether_it_is_listed(
    finder: TermFinder, text: str, listed: set[str], guessed: set[str]
) -> None:
    tokens = finder.tokens(text)
    found = list(finder.terms(text, tokens))
    words = [
        {text[tokens[i].start : tokens[i].end] for i, is_listed in found if is_listed is which} for which in (True, False)
    ]
    assert words == [listed, guessed]


@pytest.mark.parametrize("words", [kinds.KINDS, kinds.RANKED, kinds.SYSTEMS, kinds.PEOPLE, kinds.FIRMS, kinds.PUBLIC])
def test_words_for_kinds_are_in_the_form_in_which_they_are_compared(words: frozenset[str]) -> None:
    assert {plain(word) for word in words} == words


def test_a_family_name_after_a_first_name_is_no_word_of_the_domain(finder: TermFinder) -> None:
    text = "Emma Lipitor? Lipitor!"
    tokens = finder.tokens(text)
    assert [token.is_word for token in finder.without_surnames(text, tokens, ())] == [False, False, True]
    assert finder.without_surnames(text, tokens, {1}) == tokens
