"""The summary to print: whole sentences of the signed card, nothing that the report does not have, and one page of paper."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from made_report import classification, interval, text

from privacy.mechanism_event import MechanismEvent
from privacy.secagg.shared_plan import SharedNoise
from server.report import wording
from server.report.card import privacy_card
from server.report.card_facts import CardFacts
from server.report.figures import epsilon
from server.report.html import summary

MOST = 8_200  # characters that fit on one page of A4 in the print style; `weasyprint summary.html page.pdf` shows it


def sentences(card: Mapping[str, Any]) -> list[str]:
    own = [*card["not_protected"], *card["data_access"], *card["public"], *card["utility"]["statements"]]
    return [card["privacy"]["guarantee"], card["anonymisation"]["statement"], card["signing"]["statement"], *own]


@pytest.fixture(params=["local", "central", "distributed", "person", "none", "simulated"])
def card(request: pytest.FixtureRequest, facts: CardFacts, without_privacy: CardFacts) -> Mapping[str, Any]:
    real = replace(facts, simulated=False)
    shared = SharedNoise(sites=3, fewest=3, colluders=1, expected_batch=60.0, slack=0.0)
    steps = [
        replace(s, charges=tuple(replace(c, event=MechanismEvent(0.2, 2.0, 1)) for c in s.charges)) for s in facts.sites
    ]
    chosen = {
        "local": real,
        "distributed": replace(real, trust="distributed", shared=shared, sites=steps),
        "central": replace(real, trust="central", unit="site", relation="add or remove one site"),
        "person": replace(real, unit="person", relation="add or remove one person"),
        "none": replace(without_privacy, simulated=False),
        "simulated": facts,
    }
    return privacy_card(chosen[request.param], "k" * 64)


def test_every_sentence_of_the_card_is_there_whole_on_one_page(card: Mapping[str, Any]) -> None:
    page = text(summary(classification(), card))
    assert [sentence for sentence in sentences(card) if " ".join(sentence.split()) not in page] == []
    assert len(page) < MOST


def test_the_highest_epsilon_stands_first_and_a_run_without_privacy_says_so(
    facts: CardFacts, without_privacy: CardFacts
) -> None:
    signed = privacy_card(facts, "k" * 64)
    highest = epsilon(max(site["epsilon"] for site in signed["sites"]))
    stated = f"Highest epsilon of all sites: {highest}, at delta 3.3 \N{MULTIPLICATION SIGN} 10⁻⁴, for each record."
    assert stated in text(summary(classification(), signed))
    assert "Highest epsilon of all sites: 7.99, at delta 3.2" in text(summary(classification()))  # of the report alone
    report = {**classification(), "privacy": {**classification()["privacy"], "enabled": False}}
    page = text(summary(report, privacy_card(without_privacy, "k" * 64)))
    assert "There is no differential privacy guarantee for this run." in page
    assert "epsilon of all sites" not in page


def test_without_a_card_nothing_is_claimed_and_every_key_may_be_absent() -> None:
    page = text(summary({}))
    assert "no signed privacy card" in page
    assert "this does not mean that there are none" in page
    assert "There is no differential privacy guarantee" in page


def test_a_run_that_loses_to_a_baseline_is_amber_and_names_it() -> None:
    report = classification()
    metric = next(iter(report["final"]))
    rival = {"name": "public records", "note": "", "private": True, "metrics": {metric: interval(0.99, 0.001)}}
    page = summary({**report, "baselines": [rival]})
    assert 'class="verdict same"' in page
    assert "worse than public records" in text(page)


def test_texts_are_escaped() -> None:
    assert "<b>x" not in summary({"run": "<b>x", "task": "<b>x", "model": {"name": "<b>x"}})


def test_nothing_is_loaded() -> None:
    page = summary(classification())
    assert not re.search(r"<(script|link|img|iframe)\b|@import|url\(|(?:href|src)=", page)
    assert wording.WITHOUT_PRIVACY not in page
