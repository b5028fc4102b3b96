"""A report of more sites than a page holds: the worst are listed, and one sentence bounds the others."""

from typing import Any

from server.report.many_sites import MOST, listed, others, worst


def sites(count: int) -> list[dict[str, Any]]:
    rows = [{"site_id": f"s{number:04}", "epsilon": 1.0 + number / 1000} for number in range(count)]
    return [*rows[1::2], *rows[::2]]


def test_up_to_the_limit_every_site_is_listed_in_the_reports_own_order() -> None:
    rows = sites(MOST)
    assert listed(rows) is rows
    assert others(rows) == ""


def test_beyond_it_those_that_spent_most_are_listed_and_nobody_left_out_spent_more_than_is_said() -> None:
    rows = sites(1000)
    shown = listed(rows)
    assert len(shown) == MOST
    assert min(site["epsilon"] for site in shown) > 1.935
    assert "936 more sites are not listed, each with an epsilon of at most 1.935" in others(rows).replace("\u00a0", " ")


def test_a_site_whose_epsilon_is_not_known_is_never_left_out_for_one_that_is() -> None:
    rows = [*sites(200), {"site_id": "unknown", "epsilon": None}]
    assert listed(rows)[0]["site_id"] == "unknown"


def test_without_privacy_no_epsilon_is_said() -> None:
    rows = [{"site_id": str(number), "epsilon": None} for number in range(100)]
    assert others(rows) == "36 more sites are not listed; report.json lists all 100."


def test_the_metrics_of_the_worst_sites_are_shown() -> None:
    by_site = {f"s{n:03}": {"accuracy": {"value": n / 200, "low": 0.0, "high": 1.0}} for n in range(150)}
    assert list(worst(by_site, "accuracy")) == [f"s{n:03}" for n in range(MOST)]
    assert worst({"a": by_site["s001"]}, "accuracy") == {"a": by_site["s001"]}
