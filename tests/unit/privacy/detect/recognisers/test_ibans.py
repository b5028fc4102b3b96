"""A security's number is no IBAN, although a cut IBAN looks the same."""

import pytest

from privacy.detect.recognisers.ibans import Iban


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("DE0007164600", set()),
        ("DE0007164601", {"DE0007164601"}),  # its check digit is wrong, so it may be a part of an IBAN
        ("DE89370400440532013000", {"DE89370400440532013000"}),
    ],
)
def test_only_a_valid_number_of_a_security_is_left_out(text: str, found: set[str]) -> None:
    assert {text[f.start : f.end] for f in Iban("en").find(text)} == found
