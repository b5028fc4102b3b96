"""Claim and audits side by side: nothing is claimed too much, and a failure is not hidden."""

from typing import Any

import pytest

from server.report.audit import PROVES_NOTHING, audit_rows
from server.report.html import render

DIGEST = "d" * 64
CHECKS = [{"name": "noise, in C", "seen": 1.0, "allowed": "1", "passed": True, "accounted": True}]
METER: dict[str, Any] = {
    "config_digest": DIGEST,
    "passed": True,
    "plans": [{"sites": ["north"], "seen": {"value": 3.0, "low": 2.9, "high": 3.1}, "checks": CHECKS}],
}
ONE_RUN = {
    "config_digest": DIGEST, "site_id": "north", "gaussian": 0.92, "general": 0.1, "canaries": 1000, "refuted": False,
}  # fmt: skip


def test_without_an_audit_nothing_is_said_of_one() -> None:
    assert audit_rows({}, 3.0, DIGEST) == []
    assert "Audit: what was claimed" not in render({})


def test_claim_meter_and_bound_stand_side_by_side_with_the_sentence_that_a_pass_proves_nothing() -> None:
    rows = audit_rows({"mechanism": METER, "one_run": ONE_RUN}, 3.19, DIGEST)
    assert [row.found for row in rows[:2]] == ["epsilon 3.19", "epsilon 3 (2.9 to 3.1)"]
    assert "at least 0.92" in rows[2].found
    assert not any(row.bad for row in rows)
    page = render({"config_digest": DIGEST}, None, {"mechanism": METER, "one_run": ONE_RUN})
    assert PROVES_NOTHING in page
    assert "epsilon 3 (2.9 to 3.1)" in page


def test_a_failed_meter_and_a_refuted_claim_are_named() -> None:
    failed = {**METER, "plans": [{**METER["plans"][0], "seen": None, "checks": [{**CHECKS[0], "passed": False}]}]}
    rows = audit_rows({"mechanism": failed, "one_run": {**ONE_RUN, "refuted": True}}, 3.0, DIGEST)
    assert [row.bad for row in rows] == [False, True, True]
    assert "NOT do what the plan says: noise, in C" in rows[1].means
    assert "REFUTED" in rows[2].means


def test_an_audit_of_another_config_is_not_taken_for_one_of_this_run() -> None:
    rows = audit_rows({"mechanism": METER}, 3.0, "e" * 64)
    assert "of another config" in rows[1].name


def test_an_attack_that_fails_without_privacy_too_says_nothing_for_privacy() -> None:
    rows = audit_rows({"adapter": {"config_digest": DIGEST, "strong_enough": False, "cells": []}}, 3.0, DIGEST)
    assert rows[1].found == "too weak"


def test_attacks_stand_beside_the_limit_of_the_plan_and_planted_numbers_beside_numbers_never_planted() -> None:
    rates = [{"false_positive_rate": 0.01, "true_positive_rate": 0.032}]
    planted = [
        {"where": "first site", "copies": many, "mean": 1.4 + many / 10, "largest": 7.0, "texts": 24, "completed": 3}
        for many in (0, 1, 4)
    ]
    cell = {
        "anonymised": False,
        "private": True,
        "limits": {"true_positive_rates": [0.1, 0.28]},
        "membership": [{"copies": 1, "attack": "rmia", "auc": 0.58, "rates": rates}],
        "extraction": planted,
    }
    _, who, numbers = audit_rows({"adapter": {"config_digest": DIGEST, "strong_enough": True, "cells": [cell]}}, 8.0, DIGEST)
    assert "calls 3.2 %" in who.means
    assert "the plan limits every attack to 28.0 %" in who.means
    assert numbers.found == "exposure 1.8 of 7 bits"
    assert "never planted there has 1.4; the model completes 3 of 24" in numbers.means


def test_a_backdoor_that_had_nothing_to_move_breaks_no_report() -> None:
    """Where every held-out text has the target label already, a row of the poisoning table has no share of moved texts."""
    row = {"rule": "median", "dishonest": 1, "attack": "alie", "accuracy": {"value": 1.0}, "backdoor": {}}
    assert audit_rows({"attack": {"config_digest": DIGEST, "rows": {"a": row}}}, 8.0, DIGEST)[1].found.startswith("accuracy")


@pytest.mark.parametrize("broken", [{}, {"plans": 3}, {"plans": [{}]}])
def test_an_audit_that_was_cut_short_breaks_no_report(broken: dict[str, Any]) -> None:
    assert audit_rows({"mechanism": broken}, 3.0, DIGEST)[1].found == "not readable"
