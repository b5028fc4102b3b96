import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.audit.extraction import completed, exposures, summary
from privacy.audit.membership import Losses, attack, clopper_pearson, scores

DRAW = np.random.default_rng(8)


def test_scores_that_know_nothing_have_an_area_of_a_half_and_find_no_more_than_they_err() -> None:
    found = attack(DRAW.standard_normal(800), DRAW.standard_normal(2000))
    assert found.auc_low < 0.5 < found.auc_high
    for rate in found.rates:
        assert rate.low <= rate.false_positive_rate * 2


def test_the_area_is_the_chance_that_a_present_text_scores_higher() -> None:
    present, absent = DRAW.normal(1, 1, 60), np.round(DRAW.normal(0, 1, 80), 1)
    pairs = (present[:, None] > absent) + (present[:, None] == absent) / 2
    assert attack(present, absent).auc == pytest.approx(pairs.mean())


@given(st.lists(st.integers(0, 5), min_size=2, max_size=60), st.sampled_from([0.001, 0.01, 0.1]))
def test_a_threshold_errs_at_most_as_often_as_stated_with_ties_as_well(absent: list[int], rate: float) -> None:
    values = np.array(absent, dtype=np.float64)
    found = attack(values, values, (rate,))
    assert found.rates[0].true_positive_rate <= rate


def test_with_fewer_absent_texts_than_the_rate_needs_none_may_be_called_wrongly() -> None:
    found = attack(np.array([1.0, 3.0]), np.array([2.0, 0.0]), (0.001,))
    assert found.rates[0].true_positive_rate == 0.5


def test_the_interval_of_a_share_covers_it_with_the_stated_chance() -> None:
    hits = DRAW.binomial(50, 0.1, 400)
    assert np.mean([low <= 0.1 <= high for low, high in (clopper_pearson(int(h), 50) for h in hits)]) >= 0.94
    assert clopper_pearson(0, 50)[0] == 0
    assert clopper_pearson(50, 50)[1] == 1


def losses(count: int, lowered: float, references: int = 2) -> Losses:
    """Texts of very different difficulty, whose loss training lowered a little."""
    base = DRAW.normal(0, 3, count) + 10
    others = base + DRAW.normal(0, 0.1, (references, count))
    return Losses(base - lowered + DRAW.normal(0, 0.1, count), base, others)


def test_the_base_model_and_references_see_what_the_loss_alone_does_not() -> None:
    population, present, absent = losses(300, 0.0), losses(200, 0.4), losses(200, 0.0)
    seen, unseen = scores(present, population), scores(absent, population)
    areas = {name: attack(seen[name], unseen[name]).auc for name in seen}
    assert areas["loss"] < 0.6
    assert areas["loss less base"] > 0.95
    assert areas["rmia"] > 0.95
    assert set(scores(losses(5, 0.0, references=0), population)) == {"loss", "loss less base"}


def test_the_exposure_is_the_rank_in_bits() -> None:
    fills = np.arange(1, 16, dtype=np.float64)[None]
    assert exposures(np.array([0.0]), fills)[0] == 4
    assert exposures(np.array([15.5]), fills)[0] == 0
    random = exposures(DRAW.random(4000), DRAW.random((4000, 255)))
    assert summary(random, 256).mean == pytest.approx(1.43, abs=0.1)


def test_a_completion_counts_whatever_its_spaces_and_case() -> None:
    said = ["call 07700  900 123 now", "call X", "ANNA lee"]
    assert completed(said, ["07700 900123", "y", "Anna Lee"]) == [True, False, True]
