import hashlib
import math

import pytest

from shared.ops.canonical_json import canonical_json, json_digest


def test_equal_values_have_the_bytes_that_earlier_versions_signed() -> None:
    text = '{"a":[1,2.5,null,true],"\\u00e9":{"x":-0.0,"y":"\\u2028"}}'
    assert canonical_json({"é": {"y": "\u2028", "x": -0.0}, "a": (1, 2.5, None, True)}) == text
    assert (
        json_digest({"a": [1, 2.5, None, True], "é": {"x": -0.0, "y": "\u2028"}})
        == hashlib.sha256(text.encode()).hexdigest()
    )


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_cannot_write_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": number})
