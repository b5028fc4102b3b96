from privacy.leakage.assessment import Assessment
from privacy.leakage.gate import checks
from privacy.leakage.recall import Recall
from privacy.leakage.score import LeakScore
from shared.config.anonymise import GateSection

PERFECT = LeakScore(Recall(9, 9), {"PERSON": Recall(450, 450)}, Recall(9, 9), Recall(0, 100))


def failed(labelled: LeakScore | None, replaced: Recall, **limits: float) -> list[str]:
    found = Assessment(9, {}, {}, Recall(0, 9), labelled, {}, PERFECT, Recall(0, 9), {}, {}, replaced)
    return [check.name for check in checks(GateSection(**{"min_labelled_recall": 0.5, **limits}), found) if not check.passed]


def test_a_site_whose_texts_lose_too_much_does_not_pass_although_nothing_leaks() -> None:
    assert failed(None, Recall(50, 100)) == []
    assert failed(None, Recall(51, 100)) == ["replaced"]
    assert failed(None, Recall(11, 100), max_replaced=0.1) == ["replaced"]


def test_labelled_records_tell_what_is_lost_beside_personal_data() -> None:
    greedy = LeakScore(Recall(9, 9), {"PERSON": Recall(450, 450)}, Recall(9, 9), Recall(21, 100))
    assert failed(greedy, Recall(30, 100)) == ["over_redaction"]
    assert failed(greedy, Recall(30, 100), max_over_redaction=0.21) == []
    assert failed(PERFECT, Recall(30, 100)) == []
