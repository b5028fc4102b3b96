import pytest

from client.data_stage.augmentation.acceptance import Flaw, Verdict, flaw_of, judge_of, verdicts
from privacy.anonymise.polyglot import Polyglot
from shared.config.anonymise import AnonymiseSection

TEXT = "Hello, <PERSON_1> here, I am still waiting for the blood test that was taken on <DATE_TIME_1>."
GOOD = "This is <PERSON_1>; the blood test taken on <DATE_TIME_1> is what I am waiting for."


@pytest.fixture(scope="module")
def judge() -> Polyglot:
    return judge_of(AnonymiseSection())


@pytest.mark.parametrize(
    ("wording", "flaw"),
    [
        (GOOD, None),
        (None, Flaw.UNFINISHED),
        ("  \n", Flaw.EMPTY),
        (TEXT.upper(), Flaw.SAME),
        ("<PERSON_1> waits since <DATE_TIME_1>.", Flaw.SHORTER),
        (GOOD * 3, Flaw.LONGER),
        (GOOD.replace("<DATE_TIME_1>", "the same day"), Flaw.TAGS),
        (GOOD.replace("<PERSON_1>", "<PERSON_2>"), Flaw.TAGS),
        ("I am sorry, <PERSON_1>, but as an assistant I cannot know what happened on <DATE_TIME_1>.", Flaw.STRAYED),
    ],
)
def test_a_wording_is_dropped_by_fixed_rules(wording: str | None, flaw: Flaw | None) -> None:
    assert flaw_of(TEXT, wording, []) is flaw


def test_a_wording_that_is_there_already_is_dropped(judge: Polyglot) -> None:
    assert [verdict.flaw for verdict in verdicts(judge, TEXT, [GOOD, f"{GOOD}!"])] == [None, Flaw.SAME]


@pytest.mark.parametrize(
    "invented",
    ["and Margaret Whitfield asks too", "and my number is 0161 496 0723", "write to m.whitfield@example.org"],
)
def test_what_a_model_invents_of_a_person_costs_it_the_wording(judge: Polyglot, invented: str) -> None:
    (verdict,) = verdicts(judge, TEXT, [f"{GOOD[:-1]}, {invented}."])
    assert verdict == Verdict(Flaw.PERSONAL)
    assert invented not in repr(verdict)


def test_a_surrogate_of_the_text_may_be_said_again_and_must_not_be_lost(judge: Polyglot) -> None:
    text = "Margaret Whitfield asks whether the blood test of last week has come back from the laboratory."
    kept, lost = verdicts(
        judge,
        text,
        [
            "Has the blood test of last week come back from the laboratory, asks Margaret Whitfield?",
            "Has the blood test of last week come back from the laboratory, the patient asks?",
        ],
    )
    assert kept.flaw is None
    assert lost.flaw is Flaw.PERSONAL
