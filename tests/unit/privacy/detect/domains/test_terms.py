"""The lists of words and phrases of the domains are read in one form."""

from collections.abc import Mapping

from privacy.detect.domains.terms import Terms, tokens


def test_spellings_of_one_term_are_one() -> None:
    assert tokens("Sj\u00f6gren's syndrome") == tokens("Sjogren syndrome")
    assert tokens("Barrett's oesophagus") == tokens("Barrett esophagus")


def test_a_list_of_words_holds_no_phrase_and_a_list_of_phrases_no_word() -> None:
    found: Mapping[str, Terms] = {domain: Terms.of([domain]) for domain in ("medical", "banking", "legal")}
    assert all(" " not in word for terms in found.values() for word in terms.words)
    assert all(" " in phrase for terms in found.values() for phrase in terms.phrases)


def test_a_list_has_words_that_only_things_are_called_by_and_abbreviations_in_capitals() -> None:
    terms = Terms.of(["medical", "banking"])
    assert "gorlin" in terms.eponyms
    assert "ISA" in terms.eponyms
    assert terms.eponyms.isdisjoint(terms.words)


def test_the_beginning_of_a_phrase_is_a_term_of_two_words_or_more() -> None:
    assert "wolff parkinson" in Terms.of([], ["Wolff-Parkinson-White syndrome"]).pairs
    assert all(" " in pair for pair in Terms.of(["medical"]).pairs)
