from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.data_stage.cleaning import clean, repaired, repetition
from shared.config.data_stage import CleaningSection
from shared.records.types import RawRecord, Span

words = st.lists(st.sampled_from(["yes", "no", "café", "cafÃ©", "ab", "the doctor"]), max_size=12).map(" ".join)
sections = st.builds(
    CleaningSection,
    repair=st.booleans(),
    min_chars=st.integers(0, 20),
    max_repetition=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
)


def raw(*texts: str) -> list[RawRecord]:
    return [RawRecord({"text": text}, "yes", position) for position, text in enumerate(texts, start=1)]


def test_text_decoded_wrongly_is_mended_and_other_text_is_left_alone() -> None:
    kept = clean(raw("voilÃ\xa0 le cafÃ©", "voilà le café", "“quoted” & <b>bold</b>  twice"), CleaningSection())
    texts = [record.fields["text"] for record in kept.records]
    assert texts == ["voilà le café", "voilà le café", "“quoted” & <b>bold</b>  twice"]
    assert kept.touched == {"cleaning.repair": 1}


def test_known_places_of_personal_data_are_dropped_with_the_text_they_fitted() -> None:
    spans = {"text": (Span("PERSON", 0, 4),)}
    assert repaired(RawRecord({"text": "RenÃ© called"}, spans=spans)).spans == {}
    assert repaired(RawRecord({"text": "René called"}, spans=spans)).spans == spans


def test_repair_carries_tags_along_or_gives_them_up() -> None:
    record = RawRecord({"text": "RenÃ© called"}, tags=(Span("WHO", 0, 5),))
    assert repaired(record).tags == (Span("WHO", 0, 4),)
    assert repaired(replace(record, tags=(Span("WHO", 0, 4),))).tags is None


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("I would like to see the doctor on Monday morning, please.", True),
        ("Ich möchte am Montag gern den Arzt sprechen, bitte schön.", False),
        ("12345 67890", True),
    ],
)
def test_a_language_filter_keeps_its_languages_and_what_has_no_letters(text: str, stays: bool) -> None:
    kept = clean(raw(text), CleaningSection(languages=("en",)))
    assert bool(kept.records) is stays
    assert kept.touched["cleaning.languages"] == 1 - stays


def test_short_and_repetitive_records_are_left_out_and_counted_apart() -> None:
    section = CleaningSection(min_chars=5, max_repetition=0.5)
    kept = clean(raw("ok", "spam and spam " * 9, "the nurse was kind to all of us"), section)
    assert [record.position for record in kept.records] == [3]
    assert kept.touched == {"cleaning.repair": 0, "cleaning.min_chars": 1, "cleaning.max_repetition": 1}


def test_repetition_runs_from_none_to_nearly_all() -> None:
    assert repetition("one two three four five") == repetition("") == repetition("one") == 0
    assert repetition("a b c " * 100) > 0.98


@settings(max_examples=60)
@given(st.lists(words, max_size=8), words, sections)
def test_each_record_is_cleaned_as_if_it_were_alone(texts: list[str], more: str, section: CleaningSection) -> None:
    together = clean(raw(*texts, more), section).records
    apart = [record for one in raw(*texts, more) for record in clean([one], section).records]
    assert list(together) == apart
    assert list(clean(together, section).records) == apart  # once is enough
