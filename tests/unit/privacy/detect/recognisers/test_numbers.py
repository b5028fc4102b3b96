"""Number plates are found after a word for them, and not within a longer word."""

import pytest

from privacy.detect.recognisers.numbers import IdNumber


@pytest.fixture(scope="module")
def numbers() -> IdNumber:
    return IdNumber("en")


@pytest.mark.parametrize("text", ["Plate: KX4 9ZP", "the car KX4 9ZP", "REGISTRATION NUMBER KX4 9ZP"])
def test_a_plate_after_its_word_is_found(numbers: IdNumber, text: str) -> None:
    assert "KX4 9ZP" in [text[f.start : f.end] for f in numbers.find(text)]


@pytest.mark.parametrize("text", ["PLATELETS  198 x 10^9/L", "CARDIAC  12 mm", "TAXIMETER 40 miles", "VANCOMYCIN 15 mg"])
def test_a_word_that_begins_like_a_vehicle_is_no_plate(numbers: IdNumber, text: str) -> None:
    assert list(numbers.find(text)) == []
