"""The pages for people: all from the card, in a form that tools read, and no text of a config can break them."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from server.report.card import privacy_card
from server.report.card_facts import BaseModel
from server.report.html import render
from server.report.markdown import escape, model_page, privacy_page

if TYPE_CHECKING:
    from server.report.card_facts import CardFacts

HOSTILE = 'a|b\n# c <script>alert(1)</script> `x` [y](http://z) "q"'


def front_matter(page: str) -> dict[str, Any]:
    found = re.match(r"---\n(.*?)\n---\n", page, flags=re.DOTALL)
    assert found
    return dict(yaml.safe_load(found.group(1)))


def columns(row: str) -> int:
    return len(re.findall(r"(?<!\\)\|", row))


def test_the_model_card_has_what_a_hub_reads(published: Any) -> None:
    head = front_matter(model_page(published.card))
    assert head["base_model"] == "sentence-transformers/mini"
    assert head["library_name"] == "peft"
    assert head["pipeline_tag"] == "text-classification"
    assert {"lora", "federated-learning", "differential-privacy"} == set(head["tags"])


def test_the_model_card_names_a_hub_model_only_where_the_base_is_one(published: Any) -> None:
    local = {**published.card, "base_model": {**published.card["base_model"], "reference": "models/mini"}}
    assert "base_model" not in front_matter(model_page(local))


def test_the_model_card_of_a_run_without_privacy_says_so_first(without_privacy: "CardFacts") -> None:
    page = model_page(privacy_card(without_privacy, "00" * 32))
    assert page.index("**No differential privacy.**") < page.index("## Model")
    assert "differential-privacy" not in front_matter(page)["tags"]


def test_metrics_stand_with_their_intervals(published: Any) -> None:
    for page in (model_page(published.card), privacy_page(published.card)):
        assert "| accuracy | 74.3 % | 71.6 to 77.0 |" in page
        assert "93.0 % intervals" in page


def test_only_declared_sizes_describe_the_data(published: Any) -> None:
    data = model_page(published.card).split("## Data")[1].split("## Training")[0]
    assert "| north | 1,610 |" in data


def test_rounds_in_a_row_share_a_line(published: Any) -> None:
    page = privacy_page(published.card)
    assert "| north | training | run-77 | 1 to 3 | 0.11 | 3.3371 | 7 |" in page
    assert "| north | training | run-77 | 5 | 0.11 | 3.3371 | 7 |" in page
    assert "| south | metrics | run-77 | 1 to 2 | 1.0 | 21.5 | 1 |" in page


def hostile(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card with hostile text wherever a config or a folder can put text."""
    spoilt = {**card, "base_model": {**card["base_model"], "name": HOSTILE, "reference": HOSTILE, "licence": HOSTILE}}
    spoilt["training"] = {**card["training"], "labels": [HOSTILE, "b"]}
    return {**spoilt, "run": {**card["run"], "name": HOSTILE}}


def test_no_text_breaks_a_table_or_becomes_markup(published: Any) -> None:
    card = hostile(published.card)
    for page in (privacy_page(card), model_page(card)):
        prose = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
        assert "<script" not in prose.replace("\\<script", "")
        assert not re.search(r"^# c", prose, flags=re.MULTILINE)
        tables = re.findall(r"(?:^\|.*\n)+", prose, flags=re.MULTILINE)
        assert tables
        for table in tables:
            assert len({columns(row) for row in table.splitlines()}) == 1, table
    section = render({}, card).split('<section id="card"')[1]
    assert "<script" not in section


@pytest.mark.parametrize("form", ["plain", "a_b.c-d", "x < y", "*bold*", "_em_", "[link](x)", "back`tick", "a|b", "a\nb"])
def test_escaping_keeps_the_text(form: str) -> None:
    assert re.sub(r"\\(.)", r"\1", escape(form)) == form.replace("\n", " ")


def test_a_head_alone_is_no_lora_adapter(without_privacy: "CardFacts", config_of: Any) -> None:
    config = config_of({"adapter.rank": 0, "privacy.enabled": False})
    page = model_page(privacy_card(replace(without_privacy, config=config), "00" * 32))
    assert "A classification head for the base model" in page
    assert "PeftModel" not in page
    assert front_matter(page)["tags"] == ["federated-learning"]


@pytest.mark.parametrize(
    ("adapter", "where"),
    [({}, "on all layers"), ({"last_layers": 2}, "on the last 2 layers"), ({"layers": [1, 4]}, "on layers 1, 4")],
)
def test_a_card_of_ia3_says_nothing_of_ranks(
    without_privacy: "CardFacts", config_of: Any, adapter: dict[str, Any], where: str
) -> None:
    config = config_of({"adapter": {"family": "ia3", **adapter}, "privacy.enabled": False})
    card = privacy_card(replace(without_privacy, config=config), "00" * 32)
    page = model_page(card)
    assert "An IA3 adapter with a classification head for the base model" in page
    assert f"learnt scaling factors of activations, {where}; peak" in page
    assert "PeftModel.from_pretrained" in page
    assert "ia3" in front_matter(page)["tags"]
    assert "lora" not in page.lower().replace("exploration", "")
    assert {name: card["training"][name] for name in ("family", "rank", "alpha", "factors")} == {
        "family": "ia3",
        "rank": None,
        "alpha": None,
        "factors": None,
    }


def test_a_card_of_a_core_says_what_is_trained_between_what(without_privacy: "CardFacts", config_of: Any) -> None:
    config = config_of({"adapter": {"family": "core", "rank": 6, "alpha": 12}, "privacy.enabled": False})
    card = privacy_card(replace(without_privacy, config=config), "00" * 32)
    assert "a core of 6 x 6 numbers a layer, with alpha 12" in model_page(card)
    assert (card["training"]["family"], card["training"]["factors"]) == ("core", None)


def test_the_card_says_how_the_sites_changes_are_combined(without_privacy: "CardFacts", config_of: Any) -> None:
    robust = {"method": "trimmed_mean", "trim": 0, "optimiser": "momentum"}
    for section, says in (
        ({}, "combined by mean, weighted equally."),
        (robust, "trimmed mean, weighted equally, and applied"),
    ):
        config = config_of({"aggregation": section, "privacy.enabled": False})
        assert says in model_page(privacy_card(replace(without_privacy, config=config), "00" * 32))


def test_an_instruction_model_generates_text(without_privacy: "CardFacts", config_of: Any) -> None:
    config = config_of({"task.name": "instruction", "task.labels": (), "privacy.enabled": False})
    base = BaseModel("smollm2-135m", "smollm2-135m (dequantised)", "causal", "e" * 64, "Apache-2.0")
    page = model_page(privacy_card(replace(without_privacy, config=config, model=base), "00" * 32))
    assert front_matter(page)["pipeline_tag"] == "text-generation"
    assert "head.safetensors" not in page


def test_the_pages_of_many_sites_list_those_that_spent_most_and_bound_the_others(published: Any) -> None:
    north = next(site for site in published.card["sites"] if site["site_id"] == "north")
    sites = [{**north, "site_id": f"s{number:04}", "epsilon": 1 + number / 1000} for number in range(1000)]
    card = {**published.card, "sites": sites}
    spent = privacy_page(card)
    assert len(set(re.findall(r"s0\d{3}", spent))) == 64
    assert "936 more sites are not listed, each with an epsilon of at most 1.935" in spent.replace("\u00a0", " ")
    assert "privacy_card.json lists all 1,000." in spent
    assert len(set(re.findall(r"s0\d{3}", model_page(card)))) == 64
