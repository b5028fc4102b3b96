import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.anonymise.scrubber import LanguageScrubber
from privacy.detect.normalise import BLOCK, INLINE, normalise, normalise_spans
from privacy.detect.unfit import Reason, UnfitText
from shared.records.types import Span

FRAGMENTS = (
    "<b>", "</b>", "<", ">", "&lt;", "&amp;", "&#60;", "&#x200b;", "b", "br/", "<!--", "-->", "=", " ", "\r", "\n",
    "\u200b", "\u00ad", "e", "\u0301", "\uff1c", "\uff1e", "\u2028", "\ufb01", "\u034f", "a", "1",
    "<script>", "</script>",
)  # fmt: skip
messy = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=20).map("".join)


@given(messy)
def test_normalising_twice_changes_nothing(text: str) -> None:
    try:
        once = normalise(text)
    except UnfitText:
        return
    assert normalise(once) == once


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("<b>Jo</b>hn <i>Smith</i>", "John Smith"),
        ("J&#111;hn &amp;amp; Jane", "John & Jane"),
        ("&amp;lt;b&amp;gt;Jo&amp;lt;/b&amp;gt;hn", "John"),
        ("jo\u200be@exa\u00admple.org", "joe@example.org"),
        ("\u202eevil\u202c \u2066x\u2069", "evil x"),
        ("\uff14\uff11\uff11\uff11 \uff11\uff11\uff11\uff11", "4111 1111"),
        ("Anna<br/>Berg<td class='x'>9", "Anna Berg 9"),
        ("a\r\nb\rc\u2028d\x0be\tf\u00a0g\x00h", "a\nb\nc\nd\ne\tf gh"),
        ("O\u2019Brien 12\u201314", "O'Brien 12-14"),
        ("x<!-- John -->y<script>Jane</script>z", "x y z"),
    ],
)
def test_what_a_reader_sees_is_kept_and_what_hides_is_removed(raw: str, clean: str) -> None:
    assert normalise(raw) == clean


@pytest.mark.parametrize(
    "text",
    [
        "a < b",
        "p<0.05 and n>30",
        "BP <140 & >90",
        "if a<b and c>d",
        "Jo <jo@x.org>",
        "List<String>",
        "<PERSON_1> saw <PERSON>",
        "<3",
    ],
)
def test_comparisons_addresses_code_and_our_tags_stay(text: str) -> None:
    assert normalise(text) == text


def test_no_tag_of_ours_is_an_html_element(scrubber: LanguageScrubber) -> None:
    elements = set(INLINE.split()) | set(BLOCK.split())
    assert not elements & {label.lower() for label in scrubber._analyser.labels}


def test_a_lone_surrogate_is_refused_without_its_text() -> None:
    with pytest.raises(UnfitText) as caught:
        normalise("John \ud800 Smith")
    assert caught.value.reason is Reason.LONE_SURROGATE
    assert "John" not in repr(caught.value)


@pytest.mark.parametrize("opening", ["<!--", "<script>", "<b ", "<b x=", "&", "<", "<a href=x "])
def test_many_unclosed_openings_take_no_long_time(opening: str) -> None:
    assert isinstance(normalise(opening * 20_000), str)


def test_spans_move_with_the_text() -> None:
    raw = "&lt;3 <b>Zo\u0301e</b> \uff14\uff12"
    text, spans = normalise_spans(
        raw, (Span("PERSON", raw.index("Z"), raw.index("</b>")), Span("ID", len(raw) - 2, len(raw)))
    )
    assert text == "<3 Zóe 42"
    assert spans is not None
    assert [text[s.start : s.end] for s in spans] == ["Zóe", "42"]


@pytest.mark.parametrize("span", [Span("A", 2, 4), Span("A", 0, 99), Span("A", -1, 2), Span("A", 3, 2)])
def test_spans_that_cut_an_entity_or_lie_outside_cannot_be_measured(span: Span) -> None:
    assert normalise_spans("a&amp;b", (span,)) == ("a&b", None)


@given(messy, st.data())
def test_moved_spans_always_lie_in_the_text(text: str, data: st.DataObject) -> None:
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=2)))
    try:
        whole, spans = normalise_spans(text, (Span("A", *ends),))
    except UnfitText:
        return
    if spans is not None:
        assert whole[spans[0].start : spans[0].end] == normalise(text[ends[0] : ends[1]])
