"""The report page: every number in human form, every text escaped, nothing loaded, nothing claimed too much."""

import copy
import functools
import html
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from made_report import DIGEST, classification, found, instruction, interval, one_round, scores, site, text, with_failures

from server.report import charts
from server.report.html import render


@pytest.fixture(scope="module", autouse=True)
def charts_are_drawn_once() -> Iterator[None]:
    """Keep each chart by its arguments, from which alone it follows: most pages here show the charts of another one."""

    def kept(draw: Callable[..., str]) -> Callable[..., str]:
        drawn: dict[str, str] = {}

        def drawn_once(*given: Any, **named: Any) -> str:
            asked = repr((given, named))
            if asked not in drawn:
                drawn[asked] = draw(*given, **named)
            return drawn[asked]

        return drawn_once

    with pytest.MonkeyPatch.context() as patch:
        for name in ("progress", "budget", "intervals", "bars"):
            patch.setattr(charts, name, kept(getattr(charts, name)))
        yield


@functools.cache
def page_of(make: Callable[[], dict[str, Any]]) -> str:
    """Render the page of one of the reports above, once."""
    return render(make())


def test_every_number_is_shown_in_human_form() -> None:
    page = text(page_of(classification))
    for shown in [
        *("83.1 % (81.1 to 85.1)", "21.3 % (19.2 to 23.4)", "86.2 % (84.3 to 88.1)", "60.4 %", "75.7 %"),
        *("81.4 % (79.4 to 83.4)", "79.0 % (76.0 to 82.0)"),
        *("7.99", "7.97", "7.95", "4.9", "6.6", "3.2 \N{MULTIPLICATION SIGN} 10⁻⁴", "0.71", "0.94", "30"),
        *("900 of 950", "94.7 % (93.3 to 96.1)", "78.8 %", "1,750 of 1,824", "95.9 % (95.0 to 96.8)", "1,234"),
        *("1,500", "1,423", "375", "95.1 % (93.9 to 96.3)"),
        *("1.81 MB", "5.42 MB", "452 kB", "112,896", "22,713,216", "0.5 %"),
        *("1 min 37 s", "1 min 2 s", "15 s", "0.84 s", "0.03 s", "22 s"),
        *("23 November 2026, 12:00 UTC", "3.11.9", DIGEST, DIGEST[::-1], "demo-20261123-4f1c", "hushtune 0.1.0"),
    ]:
        assert shown in page, shown
    assert "id = north, declared_size = 1500" in page
    assert "74 of these mentions were missed" in page


def test_no_line_ends_between_a_number_and_its_per_cent_sign() -> None:
    page = html.unescape(re.sub(r"<style>.*?</style>|<svg.*?</svg>|<[^>]+>", "", page_of(classification), flags=re.S))
    assert "83.1\N{NO-BREAK SPACE}%" in page
    assert not re.search(r"\d %", page)


@pytest.mark.parametrize("make", [classification, with_failures, instruction])
def test_nothing_is_loaded_and_nothing_runs(make: Callable[[], dict[str, Any]]) -> None:
    page = page_of(make)
    assert "//" not in page  # no address of any scheme
    assert not re.search(r"<(script|link|img|iframe|object|embed|base)\b|@import|url\((?!#)|\bon\w+=", page)
    assert all(target.startswith("#") for target in re.findall(r'(?:href|src)="([^"]*)"', page))
    assert "default-src 'none'" in page


@pytest.mark.parametrize("make", [classification, with_failures, instruction])
def test_ids_are_unique_and_references_resolve(make: Callable[[], dict[str, Any]]) -> None:
    page = page_of(make)
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    references = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)|aria-labelledby="([^"]*)"', page)
    assert {a or b or c for a, b, c in references} <= set(ids)


def test_same_report_gives_the_same_page_and_is_left_alone() -> None:
    report = with_failures()
    before = copy.deepcopy(report)
    assert render(report) == page_of(with_failures)
    assert report == before


@pytest.mark.parametrize("hostile", ['<script>alert("x")</script></svg><b>', "a & 'b' $x_1$ \" onload=\"x"])
def test_text_is_escaped_everywhere(hostile: str) -> None:
    report = with_failures()
    report["run"] = report["failures"][0] = report["privacy"]["guarantee"] = hostile
    report["config"]["run"]["name"] = report["baselines"][0]["name"] = report["versions"]["torch"] = hostile
    report["sites"][0]["site_id"] = report["rounds"][1]["missing"][0] = hostile
    report["rounds"][1]["rejected"] = [{"site_id": hostile, "reason": hostile}]
    report["sites"][0]["quarantine_reasons"] = report["anonymisation"]["quarantined"] = {hostile: 1}
    report["anonymisation"]["recall"][hostile] = found(1, 2, 0.3)
    report["by_site"] = {hostile: scores(0.8)}
    page = render(report)
    assert page.count("<script") == 0
    assert not re.search(r"<[^>]*\sonload=\"", page)
    assert page.count("<svg") == page.count("</svg>") == 5
    if hostile.startswith("<script"):
        assert page.count("&lt;script&gt;") > 10


def test_charts_are_described_and_take_their_colours_from_the_page() -> None:
    page = page_of(classification)
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.S)
    labels = [html.unescape(label) for label in re.findall(r'<svg[^>]*role="img" aria-label="([^"]+)"', page)]
    assert len(drawings) == len(labels) == 5
    assert "base: 21.3 % (19.2 to 23.4); 1: 60.4 %" in labels[0]
    assert "north ends at 7.99" in labels[1]
    defined = set(re.findall(r"(--\w+):", page))
    for drawing in drawings:
        assert not re.search(r"(?:fill|stroke): (?!none|var\()", drawing)
        assert set(re.findall(r"var\((--\w+)\)", drawing)) <= defined
        assert "<text" in drawing
        assert "<style" not in drawing


def test_tables_have_headers() -> None:
    page = page_of(with_failures)
    tables = re.findall(r"<table>.*?</table>", page, flags=re.S)
    assert tables
    assert all('<th scope="col"' in table and '<th scope="row"' in table for table in tables)


@pytest.mark.parametrize(
    ("metric", "base", "final", "headline"),
    [
        ("accuracy", 0.2, 0.8, "Better than the base model"),
        ("accuracy", 0.8, 0.2, "Worse than the base model"),
        ("accuracy", 0.8, 0.82, "Not distinguishable from the base model"),
        ("perplexity", 14.0, 9.0, "Better than the base model"),
        ("perplexity", 9.0, 14.0, "Worse than the base model"),
        ("perplexity", 9.0, 9.01, "Not distinguishable from the base model"),
        ("perplexity", 9.0, float("nan"), "No verdict"),
    ],
)
def test_verdict_follows_the_intervals(metric: str, base: float, final: float, headline: str) -> None:
    report = {"base": {metric: interval(base, 0.02)}, "final": {metric: interval(final, 0.02)}}
    page = text(render(report))
    for other in ("Better than the base", "Worse than the base", "Not distinguishable from the base", "No verdict"):
        assert (other in page) == headline.startswith(other)


@pytest.mark.parametrize(
    ("final", "relation", "colour"),
    [(0.95, "better than", "better"), (0.71, "not distinguishable from", "same"), (0.6, "worse than", "same")],
)
def test_the_verdict_is_amber_unless_the_adapter_beats_the_strongest_fair_baseline(
    final: float, relation: str, colour: str
) -> None:
    page = render({**classification(), "final": scores(final)})
    assert f"It is {relation} the strongest baseline with the same information and privacy, head alone" in text(page)
    assert f'class="verdict {colour}"' in page
    assert "The strongest baseline without privacy, logistic regression on frozen embeddings, reaches 86.2 %" in text(page)


def test_the_verdict_compares_on_the_same_records_where_it_can() -> None:
    paired = {"against": "head alone", "metric": "accuracy", "change": interval(0.01, 0.005), "p_value": 0.01}
    report = classification() | {"final": scores(0.71)}
    assert 'class="verdict same"' in render(report)
    assert 'class="verdict better"' in render(report | {"assessment": {"differences": [paired]}})


def test_in_a_run_without_privacy_every_baseline_had_the_same() -> None:
    report = classification()
    seen = text(render({**report, "privacy": {**report["privacy"], "enabled": False}}))
    assert "with the same information and privacy, logistic regression" in seen


def test_privacy_off_is_said_loudly_and_no_epsilon_is_claimed() -> None:
    page = page_of(instruction)
    seen = text(page)
    assert seen.count("This run had no differential privacy") >= 3
    assert "configured: 8" not in seen
    assert "Highest epsilon" not in seen
    assert "There is no differential privacy guarantee for this run." in seen
    assert page.count('role="img"') == 3
    assert "9.87 (9.46 to 10.3)" in seen
    assert "not measured" in seen
    assert "This run had no differential privacy" not in page_of(classification)


def test_a_site_without_epsilon_breaks_the_guarantee_in_words() -> None:
    seen = text(page_of(with_failures))
    assert "The guarantee is not complete" in seen
    assert "no epsilon was reported for west" in seen
    assert "The guarantee is not complete" not in page_of(classification)


def test_failures_and_losses_are_listed() -> None:
    seen = text(page_of(with_failures))
    assert "reply rejected (norm 412.0 > bound 100.0)" in seen
    assert "2 south rejected: norm" in seen
    assert "2 west no reply in time" in seen
    assert "2 of 4" in seen
    assert "north 12 oversize 9, residual PII 3" in seen


def test_what_the_cut_to_the_adapters_rank_left_out_is_said_where_the_method_cuts() -> None:
    report = classification()
    assert "left out" not in text(render(report))
    for entry, lost in zip(report["rounds"], (0.21, 0.084, 0.0), strict=True):
        entry["lost"] = lost
    assert "left out up to 21.0 % of their norm in a round, and 0.0 % in the last round" in text(render(report))


def test_no_failure_is_said_too() -> None:
    seen = text(page_of(classification))
    assert "No failure was reported." in seen
    assert "no reply was rejected" in seen
    assert "No record was quarantined at any site." in seen


@pytest.mark.slow
def test_every_key_may_be_absent() -> None:
    seen = text(render({}))
    assert "No verdict" in seen
    assert "This run had no differential privacy" in seen  # what is not stated is not claimed
    plain = classification()  # without what a chart needs, since drawing takes most of the time
    plain |= {"rounds": [one_round(1, {}, ["north"])], "by_site": {"north": {}}, "stages": {}}
    plain["sites"] = [site("north", 1500, None, 0.7)]
    plain["anonymisation"]["recall"] = {}
    for key in ("config", "model", "base", "final", "baselines", "rounds", "sites", "privacy", "anonymisation"):
        render({name: given for name, given in plain.items() if name != key})
    bare = plain
    bare["sites"] = [{"site_id": "north"}]
    bare["rounds"] = [{"round": 1}]
    bare["anonymisation"] = bare["adapter"] = None
    bare["privacy"] = {"enabled": True}
    assert "no epsilon was reported for north" in text(render(bare))


def test_privacy_losses_are_rounded_up() -> None:
    sites = [site("north", 1500, [0.03121], 0.7) | {"target_delta": 3.21e-4}]
    seen = text(render({"privacy": {"enabled": True}, "sites": sites}))
    assert "north 0.0313 3.3 \N{MULTIPLICATION SIGN} 10⁻⁴" in seen


def test_almost_all_is_not_all() -> None:
    seen = text(render({"anonymisation": {"overall": found(99_999, 100_000, 0.0)}}))
    assert "a recall of > 99.9 % (> 99.9 to > 99.9)" in seen
    assert "1 of these mentions was missed" in seen


def test_rows_of_a_chart_whose_names_differ_at_their_end_can_be_told_apart() -> None:
    names = ["federation, epsilon 8, minilm", "federation, epsilon 8, mpnet", "short", "x" * 60]
    rows = [charts.Point(name, 0.5, 0.4, 0.6) for name in names]
    drawn = re.findall(r"<text[^>]*>([^<]*)", charts.intervals("rows", "", rows, None, percent=True))
    assert {"minilm", "mpnet", "short", "x" * 26, "x" * 25 + "…"} <= set(drawn)


def test_a_thousand_sites_fit_a_page_that_says_how_many_it_leaves_out() -> None:
    report = classification()
    report["sites"] = [site(f"site-{number:04}", 900, [4.0, 7.9], 1.1) for number in range(1000)]
    report["by_site"] = {f"site-{number:04}": scores(0.8) for number in range(1000)}
    page = render(report)
    assert 64 <= page.count('<th scope="row" class="site">site-') <= 4 * 64
    assert page.count("936 more sites are not listed, each with an epsilon of at most 7.9") == 2
    assert "58 more" in text(page)  # in the chart of the 64 sites that are listed, which has six colours
    assert len(page) < 400_000


def test_a_run_of_eighty_rounds_that_were_not_all_evaluated_has_its_page() -> None:
    report = classification()
    report["config"]["evaluation"] = {"every": 10}
    names = [each["site_id"] for each in report["sites"]]
    report["rounds"] = [one_round(n, scores(0.5 + n / 200) if n % 10 == 0 else {}, names) for n in range(1, 81)]
    page = render(report)
    assert "held-out records after every 10 rounds and the last" in text(page)
    assert "Round 80 4 of 4 90.0 %" in text(page)
    assert "Round 79 4 of 4 \u2014" in text(page)
    assert page.count('class="chart"') == page_of(classification).count('class="chart"')


def card_section(page: str) -> str:
    return text(page.split('<section id="card"')[1].split("</section>")[0])


def test_the_privacy_card_stands_in_the_page(published: Any) -> None:
    section = card_section(render(classification(), published.card))
    for shown in (
        published.card["privacy"]["guarantee"],
        published.card["attack_risk"],
        published.card["signing"]["public_key"],
        *published.card["not_protected"],
        "This run is a simulation on one machine.",
        "north training run-77 1 to 3 0.11 3.3371 7",
    ):
        assert shown in section
    assert "has no signed privacy card" not in section


def test_a_page_without_a_card_says_that_nothing_is_signed() -> None:
    section = card_section(page_of(classification))
    assert "no signed privacy card" in section
    assert classification()["privacy"]["guarantee"] in section
