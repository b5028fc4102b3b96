"""A text that skips a recogniser of Presidio is one in which it finds nothing."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from presidio_analyzer import Pattern, PatternRecognizer

from privacy.detect.languages.registry import language
from privacy.detect.recognisers.base import RuleRecogniser
from privacy.detect.recognisers.needs import NEEDS, may_match
from privacy.detect.recognisers.registry import pattern_recognisers

PRESIDIO = [rule for rule in pattern_recognisers(language("en")) if not isinstance(rule, RuleRecogniser)]


def test_every_recogniser_of_presidio_that_reads_english_has_its_need() -> None:
    assert {type(rule) for rule in PRESIDIO} == set(NEEDS)


@pytest.mark.parametrize("rule", PRESIDIO, ids=lambda rule: type(rule).__name__)
@given(data=st.data())
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_text_that_an_expression_matches_is_skipped(rule: PatternRecognizer, data: st.DataObject) -> None:
    patterns: Sequence[Pattern] = rule.patterns  # type: ignore[has-type]  # Presidio does not say
    pattern = data.draw(st.sampled_from(list(patterns)))
    text = str(data.draw(st.from_regex(re.compile(pattern.regex, int(rule.global_regex_flags or 0)))))
    assert may_match(rule, text)


def test_a_text_without_a_digit_skips_recognisers_of_numbers() -> None:
    assert not any(may_match(rule, "Nothing to see here.") for rule in PRESIDIO)
