import numpy as np
import pytest
from fixture_types import ConfigOf

from server.report.comparison import lead, name_of
from shared.config.run import RunConfig
from shared.metrics.bootstrap import mean
from shared.tasks.classification import ClassOutcome
from simulations.studies.conclusions import conclusions, over_seeds, rows_of
from simulations.studies.results import Arm, Result

RECORDS = 400
EVERYONE = ("north", "south")


def right(share: float, seed: int, records: int = RECORDS) -> ClassOutcome:
    """Return an outcome with a share of right answers."""
    hits = np.random.default_rng(seed).random(records) < share
    return ClassOutcome(labels=("no", "yes"), truth=np.ones(records, dtype=np.int64), predicted=hits.astype(np.int64))


def results() -> list[Result]:
    places = np.arange(RECORDS)
    made = [Result(Arm("base", "m"), right(0.5, 0), places)]
    for seed in range(3):
        for epsilon, share in ((None, 0.9), (8.0, 0.8), (1.0, 0.6)):
            made.append(Result(Arm("federation", "m", EVERYONE, epsilon, seed), right(share, 10 + seed), places, 1000, 2.0))
        made.append(Result(Arm("alone", "m", ("north",), None, seed), right(0.7, 20 + seed), places))
    few = np.arange(0, RECORDS, 4)
    made.append(Result(Arm("prompt", "llm"), right(0.55, 30, len(few)), few))
    return made


@pytest.fixture
def config(config_of: ConfigOf) -> RunConfig:
    return config_of({"evaluation.bootstrap": 300})


def test_rows_are_means_over_seeds_with_what_one_run_took(config: RunConfig) -> None:
    rows = {name_of(row): row for row in rows_of(config, results())}
    assert len(rows) == 6
    row = rows["federation, no privacy"]
    shares = [(right(0.9, 10 + seed).predicted == 1).mean() for seed in range(3)]
    assert row["value"]["value"] == pytest.approx(np.mean(shares))
    assert (row["lowest"], row["highest"]) == pytest.approx((min(shares), max(shares)))
    assert (row["seeds"], row["bytes"], row["seconds"]) == (3, 1000, 2.0)
    assert rows["best prompt"]["records"] == RECORDS // 4


def test_every_question_with_both_rows_is_answered_and_no_other(config: RunConfig) -> None:
    owners = ["north" if place % 2 else "south" for place in range(RECORDS)]
    found = list(conclusions(config, results(), owners))
    by_question = {answer["question"]: [a for a in found if a["question"] == answer["question"]] for answer in found}
    assert {question: len(answers) for question, answers in by_question.items()} == {
        "Is training needed?": 4,  # base and prompt, against the federation with and without privacy
        "Does federating pay, compared with training alone?": 1,
        "What does privacy cost?": 2,
    }
    (alone,) = by_question["Does federating pay, compared with training alone?"]
    assert alone["records"] == RECORDS // 2  # on the site's own records
    assert alone["change"]["low"] > 0
    assert {answer["records"] for answer in by_question["Is training needed?"]} == {RECORDS, RECORDS // 4}
    for answer in found:
        assert answer["change"]["value"] == pytest.approx(answer["to"] - answer["from"])
    cost = {answer["after"]["epsilon"]: answer["change"]["value"] for answer in by_question["What does privacy cost?"]}
    assert cost[1.0] < cost[8.0] < 0


def test_sentences_say_what_is_chance_and_what_is_not(config: RunConfig) -> None:
    found = list(conclusions(config, results(), ["north"] * RECORDS))
    for answer, sentence in zip(found, lead({"conclusions": found}), strict=True):
        unclear = answer["change"]["low"] <= 0 <= answer["change"]["high"]
        assert ("no clear difference" in sentence) == unclear


def test_the_interval_over_seeds_is_wider_when_seeds_differ() -> None:
    base = (np.arange(500) < 400).astype(np.float64)
    same = over_seeds([mean("accuracy", base)] * 4, 2000, 0.95, 0)
    shifted = [mean("accuracy", (np.arange(500) < count).astype(np.float64)) for count in (340, 380, 420, 460)]
    spread = over_seeds(shifted, 2000, 0.95, 0)
    assert same.value == pytest.approx(spread.value) == 0.8
    assert spread.high - spread.low > 1.5 * (same.high - same.low)
    alone = mean("accuracy", base).interval(2000, 0.95, 0)
    assert (same.low, same.high) == pytest.approx((alone.low, alone.high))
