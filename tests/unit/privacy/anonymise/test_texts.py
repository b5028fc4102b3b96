"""The scrubber of plain texts: spans fit the scrubbed text, nothing shows a text, and a mistake is one sentence."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from privacy.anonymise.texts import ScrubbedText, Scrubber
from shared.errors import ConfigError

TEXT = "Dear Dr. Miller, call +44 20 7946 0958. Miller was born on 3 May 1970."


def left(done: ScrubbedText) -> str:
    """Return the scrubbed text with an @ in place of each span."""
    assert done.text is not None
    text = done.text
    for span in reversed(done.spans):
        text = text[: span.start] + "@" + text[span.end :]
    return text


@pytest.fixture(scope="module")
def scrubber_of() -> Callable[[str], Scrubber]:
    """Return a function that makes one scrubber for each operator; to make one takes half a second."""
    return cache(lambda operator: Scrubber(operator=operator))


@pytest.mark.parametrize("operator", ["tag", "redact", "surrogate"])
def test_the_spans_are_what_stands_in_the_scrubbed_text(scrubber_of: Callable[[str], Scrubber], operator: str) -> None:
    (done,) = scrubber_of(operator).scrub([TEXT])
    assert done.text is not None
    assert not [word for word in ("Miller", "7946", "3 May 1970") if word in done.text]
    assert [span.label for span in done.spans] == ["PERSON", "PHONE_NUMBER", "PERSON", "DATE_TIME"]
    values = [done.text[span.start : span.end] for span in done.spans]
    assert values[0] == values[2]
    assert left(done) == "Dear Dr. @, call @. @ was born on @."


def test_a_number_that_only_holds_the_digits_of_a_surrogate_is_in_no_span(scrubber_of: Callable[[str], Scrubber]) -> None:
    (done,) = scrubber_of("surrogate").scrub(["She is 40 years old, see beds 137, 138 and 139, or 141, 142 and 143."])
    assert left(done) == "She is @, see beds 137, 138 and 139, or 141, 142 and 143."


def test_a_number_that_runs_into_a_name_does_not_survive_as_a_surrogate(scrubber_of: Callable[[str], Scrubber]) -> None:
    text = "bill  dose\tand +49 30 1234567 3 May 2021 patient  Dr. Miller  dose called, "
    for operator in ("tag", "surrogate"):
        (done,) = scrubber_of(operator).scrub([text])
        assert done.text is not None
        assert not [value for value in ("1234567", "+49", "2021", "Miller") if value in done.text], operator


def test_a_text_that_cannot_be_scrubbed_is_held_back_with_a_reason_and_no_repr_shows_text() -> None:
    not_text: Any = 7
    done = Scrubber().scrub([TEXT, " ", not_text, "all is fine"])
    assert [(each.text is None, each.reason) for each in done] == [
        (False, None),
        (True, "empty"),
        (True, "not_text"),
        (False, None),
    ]
    assert done[3].text == "all is fine"
    assert done[3].spans == ()
    assert "Dear" not in repr(done)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"language": "it"}, "Scrubber: language = 'it': must be 'auto'"),
        ({"level": "hard"}, "Scrubber: level = 'hard': must be 'fast'"),
        ({"operater": "tag"}, "unknown field 'operater'; nearest is 'operator'"),
    ],
)
def test_an_option_that_does_not_exist_is_one_sentence(options: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        Scrubber(**options)
    assert "\n" not in str(caught.value)


def test_a_single_text_is_not_taken_for_a_list_of_letters() -> None:
    with pytest.raises(ConfigError, match="put the text into a list"):
        Scrubber().scrub("Anna")
