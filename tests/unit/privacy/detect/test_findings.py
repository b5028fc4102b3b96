from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from privacy.detect.addresses import AddressForms, spread
from privacy.detect.findings import Finding, is_covered, merge, repeats
from privacy.detect.languages.en.language import ENGLISH
from shared.records.types import Span

FORMS = AddressForms.of(ENGLISH.addresses)


@st.composite
def text_and_findings(draw: st.DrawFn) -> tuple[str, list[Finding]]:
    text = draw(st.text(alphabet="ab1 .\n", min_size=1, max_size=30))
    place = st.integers(0, len(text))
    found = st.builds(
        lambda label, ends, score: Finding(label, min(ends), max(ends), score),
        st.sampled_from(["PERSON", "PHONE_NUMBER"]),
        st.tuples(place, place),
        st.sampled_from([0.3, 0.8]),
    )
    return text, draw(st.lists(found, max_size=6))


@given(text_and_findings())
def test_merged_findings_are_disjoint_ordered_and_cover_every_letter_that_was_found(
    case: tuple[str, list[Finding]],
) -> None:
    text, findings = case
    merged = merge(text, findings)
    assert all(a.end < b.start for a, b in pairwise(merged))
    for finding in findings:
        assert is_covered(text, Span("", finding.start, finding.end), merged)


@given(text_and_findings())
def test_a_merged_finding_never_cuts_a_word(case: tuple[str, list[Finding]]) -> None:
    text, findings = case
    for finding in merge(text, findings):
        for place in (finding.start, finding.end):
            assert not (0 < place < len(text) and text[place - 1].isalnum() and text[place].isalnum())


@given(text_and_findings())
def test_the_order_of_findings_does_not_matter(case: tuple[str, list[Finding]]) -> None:
    text, findings = case
    assert merge(text, findings) == merge(text, findings[::-1])


def test_the_longest_part_names_an_overlap_then_the_score() -> None:
    text = "john@example.org"
    name, mail, other = Finding("PERSON", 0, 4, 0.9), Finding("EMAIL_ADDRESS", 0, 16, 0.5), Finding("URL", 0, 16, 0.4)
    assert [f.label for f in merge(text, [name, other, mail])] == ["EMAIL_ADDRESS"]


def test_parts_of_one_name_join_and_parts_of_two_lines_do_not() -> None:
    assert len(merge("Ana  Dias", [Finding("PERSON", 0, 3, 1), Finding("PERSON", 5, 9, 1)])) == 1
    assert len(merge("Ana\nDias", [Finding("PERSON", 0, 3, 1), Finding("PERSON", 4, 8, 1)])) == 2


def test_a_name_found_once_is_found_again_in_every_text_of_the_record() -> None:
    texts = ("Ask Mr Okafor.", "Okafor's okafor-like things to Okafors")
    again = repeats(texts, [(Finding("PERSON", 7, 13, 1),), ()])
    assert [texts[1][f.start : f.end] for f in again[1]] == ["Okafor"]


def test_the_rest_of_an_address_is_found_beside_one_of_its_parts() -> None:
    text = "I live in 7 Karlova, Suite 12\nNový Bor, Czechia. Please write"
    start = text.index("Suite")
    (found,) = merge(text, spread(text, [Finding("STREET_ADDRESS", start, start + 8, 1)], FORMS))
    assert text[found.start : found.end] == "7 Karlova, Suite 12\nNový Bor, Czechia"


def test_an_address_takes_no_more_than_a_few_words_on_either_side() -> None:
    text = "Aa " * 40 + "12 High Street " + "Bb " * 40
    found = merge(text, spread(text, [Finding("STREET_ADDRESS", 120, 134, 1)], FORMS))
    assert text[found[0].start : found[0].end] == "Aa " * 6 + "12 High Street" + " Bb" * 6


def test_without_a_part_of_an_address_nothing_spreads() -> None:
    assert spread("Anna Berg, 12 Oslo", [Finding("PERSON", 0, 9, 1)], FORMS) == ()


def test_a_span_is_covered_when_all_its_letters_and_digits_are() -> None:
    text = "(02) 99-1"
    assert is_covered(text, Span("P", 0, 9), [Finding("A", 1, 3, 1), Finding("B", 5, 7, 1), Finding("A", 8, 9, 1)])
    assert not is_covered(text, Span("P", 0, 9), [Finding("A", 1, 7, 1)])
