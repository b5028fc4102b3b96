import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.detect.findings import Finding
from privacy.detect.known_values import KnownValue, find_again, parts_of, values_of


def covered(text: str, values: list[KnownValue]) -> list[str]:
    (found,) = find_again([text], values)
    return [text[f.start : f.end] for f in sorted(found, key=lambda f: f.start)]


@pytest.mark.parametrize(
    ("value", "text", "found"),
    [
        ("5550123999", "ring (555) 012-3999 or 555 0123 999", ["555) 012-3999", "555 0123 999"]),
        ("AB-123 456", "case ab123456.", ["ab123456"]),
        ("Jo Ashworth", "JO  ASHWORTH said so", ["JO  ASHWORTH"]),
        ("İbrahim İnce", "so İBRAHİM İNCE said", ["İBRAHİM İNCE"]),
        ("İİİ", "signed İİİ", ["İİİ"]),
        ("1234", "12345 and 91234 and 1234.", ["1234"]),
        ("12 34", "1 / / / / / 234", []),
        ("Reading", "reading in Reading", ["Reading"]),
        ("Reading", "i live in reading now", ["reading"]),
    ],
)
def test_a_value_is_found_again_whole_whatever_its_punctuation(value: str, text: str, found: list[str]) -> None:
    assert covered(text, [KnownValue.of(value, any_case=False)]) == found


def test_a_column_is_looked_for_whole_and_by_its_words_and_words_of_sentences_need_a_capital() -> None:
    assert covered("berg and will wrote, Will Berg and jo-will berg", parts_of(["Jo Will Berg", "F", ""], {"will"})) == [
        "berg", "Will", "Berg", "jo-will berg", "berg",
    ]  # fmt: skip


def test_found_values_count_again_when_they_are_long_enough_and_no_age_date_or_name() -> None:
    text = "Reading 44 1234 jo Jo May"
    spans = {"LOCATION": (0, 7), "AGE": (8, 10), "ID_NUMBER": (11, 15), "USERNAME": (16, 18), "DATE_TIME": (22, 25)}
    found = [Finding(label, start, end, 0.5) for label, (start, end) in spans.items()]
    assert [value.key for value in values_of([text], [found])] == ["1234", "reading"]
    assert covered("reading Reading 12-34", values_of([text], [found])) == ["Reading", "12-34"]


@given(st.text(max_size=60), st.lists(st.text(min_size=1, max_size=12), max_size=4), st.text(max_size=60))
@pytest.mark.slow
def test_every_planted_value_is_covered_between_spaces(before: str, values: list[str], after: str) -> None:
    for value in values:
        text = f"{before.upper()} 1{value}1 {after}"
        start = text.index(f"1{value}1", len(before.upper()))
        if any(not c.isalnum() for c in value):  # a gap within may be too wide
            continue
        assert any(
            f.start <= start and f.end >= start + len(value) + 2
            for f in find_again([text], [KnownValue.of(f"1{value}1", any_case=False)])[0]
        )
