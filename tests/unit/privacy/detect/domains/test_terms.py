"""The lists of words and phrases of the domains are read in one form."""

from collections.abc import Mapping

from privacy.detect.domains.terms import Terms, tokens


def test_spellings_of_one_term_are_one() -> None:
    assert tokens("Sj\u00f6gren's syndrome") == tokens("Sjogren syndrome")
    assert tokens("Barrett's oesophagus") == tokens("Barrett esophagus")


def test_lists_hold_no_word_twice_and_no_hidden_phrase() -> None:
    found: Mapping[str, Terms] = {domain: Terms.of([domain]) for domain in ("medical", "banking", "legal")}
    assert all(" " not in word for terms in found.values() for word in terms.words)
    assert all(" " in phrase for terms in found.values() for phrase in terms.phrases)
