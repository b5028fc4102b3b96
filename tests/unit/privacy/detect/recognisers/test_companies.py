"""Companies are found by the legal form at the end of their name, as their country prints it."""

import pytest

from privacy.detect.recognisers.companies import Company


@pytest.fixture(scope="module")
def company() -> Company:
    return Company("en")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("the merger with Borsellino-Tresoldi s.r.l. failed", "Borsellino-Tresoldi s.r.l."),
        ("sent by Jenek Sp. z o.o. today", "Jenek Sp. z o.o."),
        ("the boss of \u0160t\u011bp\u00e1nek a.s. resigned", "\u0160t\u011bp\u00e1nek a.s."),
        ("paid to Monteiro S/A yesterday", "Monteiro S/A"),
        ("a letter from Blanc Schmitt S.A.S. came", "Blanc Schmitt S.A.S."),
    ],
)
def test_a_name_with_a_legal_form_is_found_whole(company: Company, text: str, value: str) -> None:
    assert value in [text[f.start : f.end] for f in company.find(text)]


@pytest.mark.parametrize("text", ["the ward (a.s. of the clinic)", "S. or L. are letters", "see section s.r.l. of the act"])
def test_letters_with_points_after_no_name_are_left(company: Company, text: str) -> None:
    assert list(company.find(text)) == []
