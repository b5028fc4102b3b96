import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.accounting import Accountant
from privacy.dp.plan import PrivacyPlan
from privacy.privacy_loss import SEARCH_GRID
from privacy.renyi_filter import filter_epsilon
from privacy.spending import Part, parts_of, spent, spent_after

DELTA = 1e-4
PLAN = PrivacyPlan(1.0, 20.0, 1.0, steps_per_round=1, rounds=3, target_delta=DELTA, declared_size=40)
ACCOUNTANT = Accountant(SEARCH_GRID)
WHOLE = filter_epsilon(PLAN.events * 3, DELTA)
ALONE = ACCOUNTANT.epsilon(PLAN.events * 3, DELTA)


def rounds(run: str, count: int, plan: PrivacyPlan = PLAN) -> Part:
    return Part.to_come(run, plan, count)


def after(limit: float, *parts: Part) -> float:
    return spent_after(parts_of((), *parts), limit, DELTA, ACCOUNTANT).epsilon


def test_one_run_counts_by_its_plan_and_two_by_the_filter() -> None:
    one = spent(parts_of((), rounds("a", 2)), DELTA, ACCOUNTANT)
    assert (one.epsilon, one.counted_by) == (ACCOUNTANT.epsilon(PLAN.events * 2, DELTA), "plan")
    two = spent(parts_of((), rounds("a", 1), rounds("b", 1)), DELTA, ACCOUNTANT)
    assert (two.epsilon, two.counted_by) == (filter_epsilon(PLAN.events * 2, DELTA), "filter")
    assert two.epsilon > one.epsilon


def test_after_a_run_that_does_not_pass_the_filter_no_second_run_is_paid_even_if_it_was_cut_short() -> None:
    """Otherwise whoever cuts it short after its first result would choose between two bounds, and pay delta twice."""
    limit = (ALONE + WHOLE) / 2
    faint = replace(PLAN, noise_multiplier=1000.0, rounds=1)
    assert filter_epsilon([*PLAN.events, *faint.events], DELTA) < limit
    assert after(limit, rounds("a", 1), rounds("b", 1, faint)) > limit
    assert after(WHOLE * 1.1, rounds("a", 1), rounds("b", 1, faint)) == filter_epsilon([*PLAN.events, *faint.events], DELTA)


def test_the_rule_on_cut_runs_is_for_the_first_run_alone() -> None:
    faint = replace(PLAN, noise_multiplier=1000.0, rounds=1)
    limit = filter_epsilon([*faint.events, *PLAN.events], DELTA)
    assert after(limit, rounds("a", 1, faint), rounds("b", 1)) == pytest.approx(limit)


def test_another_plan_under_the_same_run_is_another_run() -> None:
    """Its rounds may have been chosen after the results of the first plan's."""
    louder = replace(PLAN, noise_multiplier=10.0)
    both = spent(parts_of((), rounds("a", 1), rounds("a", 1, louder)), DELTA, ACCOUNTANT)
    assert (both.epsilon, both.counted_by) == (filter_epsilon([*PLAN.events, *louder.events], DELTA), "filter")


def test_more_rounds_than_the_plan_has_are_not_of_the_plan() -> None:
    assert spent(parts_of((), rounds("a", 3), rounds("a", 1)), DELTA, ACCOUNTANT).counted_by == "filter"


def test_a_run_without_privacy_has_no_bound_wherever_it_comes() -> None:
    bare = Part("b", None, ())
    for history in ([bare], [bare, rounds("a", 1)], [rounds("a", 1), bare]):
        assert spent(parts_of((), *history), DELTA, ACCOUNTANT).epsilon == math.inf
        assert after(100.0, *history) == math.inf


def test_a_run_of_a_ledger_that_does_not_tell_its_rounds_counts_what_it_reserved() -> None:
    old = Part("a", PLAN.digest(), PLAN.events, None)
    assert spent([old], DELTA, ACCOUNTANT).counted_by == "plan"
    assert after(100.0, old, rounds("b", 1)) == filter_epsilon(PLAN.events * 2, DELTA)
    assert parts_of((), old, rounds("a", 1))[0].whole == PLAN.events * 3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([3.0, 20.0, 300.0])), min_size=1, max_size=12),
    st.floats(0.2, 6),
)
def test_whatever_is_asked_for_what_was_paid_passes_one_bound_for_all(asked: list[tuple[str, float]], limit: float) -> None:
    """An adversary asks for rounds of runs and plans in any order; each is reserved if the rule admits the rest of its run.

    In the end either all of it passes the filter, or it is one run within its plan; and which of the two was settled by the
    first run's plan, before anything was released.
    """
    paid: list[Part] = []
    done: dict[tuple[str, float], int] = {}
    for run, noise in asked:
        plan = replace(PLAN, noise_multiplier=noise)
        left = plan.rounds - done.get((run, noise), 0)
        if left and after(limit, *paid, rounds(run, left, plan)) <= limit:
            paid.append(rounds(run, 1, plan))
            done[run, noise] = done.get((run, noise), 0) + 1
    if not paid:
        return
    first = paid[0]
    assert first.whole is not None
    if filter_epsilon(first.whole, DELTA) <= limit:
        assert filter_epsilon([event for part in paid for event in part.events], DELTA) <= limit
    else:
        assert {(part.run_id, part.plan) for part in paid} == {(first.run_id, first.plan)}
        assert ACCOUNTANT.epsilon(first.whole, DELTA) <= limit
