"""The card says what the facts say: every number of it, no other, nothing rounded in our favour, nothing overstated."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from dp_accounting import GaussianDpEvent, NeighboringRelation, PoissonSampledDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant
from fixture_types import ConfigOf
from hypothesis import given
from hypothesis import strategies as st

from privacy.dp.clipping import STABILISER
from privacy.dp.mechanism import grid_of
from privacy.dp.plan import ClippingMode
from privacy.mechanism_event import MechanismEvent
from privacy.risk import FALSE_POSITIVE_RATES
from privacy.secagg.shared_plan import SharedNoise
from server.report import disclosure, trust_words, wording
from server.report.card import privacy_card
from server.report.figures import epsilon, share_at_most, target_delta
from server.report.html import render
from server.report.markdown import model_page, privacy_page
from server.report.signed import VERSION
from server.report.trust_words import CLIPPING, clipping_words
from server.signing import ALGORITHM
from shared.errors import PrivacyError
from shared.ops.canonical_json import canonical_json

if TYPE_CHECKING:
    from server.report.card_facts import CardFacts

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def values(node: Any) -> Iterator[Any]:
    """Every value in a JSON document or in facts, whatever holds it."""
    if is_dataclass(node) and not isinstance(node, type):
        node = asdict(node)
    if isinstance(node, Mapping):
        for key, inner in node.items():
            yield key
            yield from values(inner)
    elif isinstance(node, list | tuple):
        for inner in node:
            yield from values(inner)
    else:
        yield node


def facts_values(facts: "CardFacts") -> set[Any]:
    """All that the facts hold, and what may be derived from it by others than the card."""
    shallow = {name: getattr(facts, name) for name in facts.__dataclass_fields__ if name != "config"}
    found = {value for value in values(shallow) if not isinstance(value, dict)}
    config = facts.config.model_dump(mode="json")
    found |= {*values(config), facts.config.digest()}
    return found


def epsilon_by_dp_accounting(rows: list[dict[str, Any]], delta: float) -> float:
    accountant, steps = PLDAccountant(NeighboringRelation.ADD_OR_REMOVE_ONE), Counter[tuple[float, float]]()
    for row in rows:
        steps[row["sampling_rate"], row["noise_multiplier"]] += row["steps"]
    for (sampling_rate, noise_multiplier), count in steps.items():
        step = PoissonSampledDpEvent(sampling_rate, GaussianDpEvent(noise_multiplier))
        accountant.compose(SelfComposedDpEvent(step, count))
    return float(accountant.get_epsilon(delta))


def pages(card: Mapping[str, Any]) -> str:
    """All that people read of a card."""
    section = render({}, card).split('<section id="card"')[1].split("</section>")[0]
    return "\n".join((privacy_page(card), model_page(card), section))


def test_every_number_comes_from_the_facts(published: Any) -> None:
    card = published.card
    known = facts_values(published.facts) | {VERSION, *FALSE_POSITIVE_RATES, *card["privacy"]["grids"].values()}
    for site in card["sites"]:
        assert site["epsilon"] == pytest.approx(epsilon_by_dp_accounting(site["charged"], site["target_delta"]), abs=1e-6)
        known |= {site["epsilon"], site["advantage"], *(row["true_positive_rate"] for row in site["attack"])}
    numbers = [value for value in values(card) if isinstance(value, int | float) and not isinstance(value, bool)]
    assert len(numbers) > 60
    assert [number for number in numbers if number not in known] == []


def test_the_grid_of_everything_that_was_charged_is_named(published: Any) -> None:
    card = published.card
    grids = card["privacy"]["grids"]
    assert {row["purpose"] for site in card["sites"] for row in site["charged"]} <= set(grids)
    assert grids["training"] == grid_of(card["privacy"]["clipping_norm"])
    assert f"2^{round(math.log2(grids['training']))} (training)" in privacy_page(card)


def test_every_number_in_a_sentence_comes_from_the_facts_too(published: Any) -> None:
    known = facts_values(published.facts) | {value for value in values(published.card) if isinstance(value, float)}
    shares = {share_at_most(value) for value in known if isinstance(value, float) and 0 <= value <= 1}
    written = {epsilon(v) for v in known if isinstance(v, float)} | {target_delta(v) for v in known if isinstance(v, float)}
    counts = [f"{value:,}" for value in known if isinstance(value, int)]
    known |= {published.key.public, ALGORITHM}
    allowed = set(NUMBER.findall(" ".join([*shares, *written, *counts, *(str(value) for value in known)])))
    for words in (wording, disclosure, trust_words):  # years and numbers of papers
        allowed |= set(NUMBER.findall(Path(words.__file__).read_text(encoding="utf-8")))
    for text in values(published.card):
        if isinstance(text, str) and text not in known:
            assert set(NUMBER.findall(text)) <= allowed, text


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda f: replace(f, rounds_committed=3), ("training", "rounds_committed")),
        (lambda f: replace(f, trainable_parameters=9), ("adapter", "trainable_parameters")),
        (lambda f: replace(f, created="2027-01-01T00:00:00+00:00"), ("run", "created")),
        (lambda f: replace(f, run_id="other"), ("run", "id")),
        (lambda f: replace(f, versions={"python": "3.12"}), ("software",)),
        (lambda f: replace(f, files={"a": "b"}), ("adapter", "files")),
    ],
)
def test_another_fact_is_another_card(without_privacy: "CardFacts", change: Any, place: tuple[str, ...]) -> None:
    one, two = (privacy_card(given, "00" * 32) for given in (without_privacy, change(without_privacy)))
    for step in place:
        one, two = one[step], two[step]
    assert one != two


def test_the_card_answers_the_questions_of_nist_sp_800_226(published: Any) -> None:
    privacy = published.card["privacy"]
    assert (privacy["unit"], privacy["relation"], privacy["trust"]) == ("record", "add or remove one record", "local")
    assert "each site clips and adds noise before anything leaves it" in privacy["trust_meaning"]
    assert "Poisson" in privacy["sampling"]
    assert (privacy["clipping_mode"], privacy["clipping_norm"]) == ("flat", 0.47)
    for part in ("implementation", "data_access", "not_protected", "public"):
        assert len(published.card[part]) >= 3
    assert published.card["utility"]["statements"] == [wording.UTILITY, wording.NOISE_BIAS]
    text = pages(published.card)
    for told in (*published.card["not_protected"], *published.card["implementation"], privacy["mechanism"]):
        assert told in text.replace("&#39;", "'").replace("\\", "")


def test_released_sums_are_charged_and_told(published: Any, facts: "CardFacts") -> None:
    assert "noised sums over its records" in published.card["data_access"][1]
    training = [replace(s, charges=tuple(c for c in s.charges if c.event.purpose == "training")) for s in facts.sites]
    card = privacy_card(replace(facts, sites=training), "00" * 32)
    assert "no measurement of its data" in card["data_access"][1]
    assert all(
        plain["epsilon"] < more["epsilon"] for plain, more in zip(card["sites"], published.card["sites"], strict=True)
    )


def test_nothing_is_overstated(published: Any, without_privacy: "CardFacts") -> None:
    for card in (published.card, privacy_card(without_privacy, "00" * 32)):
        text = pages(card).lower()
        for word in (
            "anonymous",
            "anonymity",
            "trusts nobody",
            "guaranteed to",
            "impossible",
            "completely",
            "fully",
            "safe ",
        ):
            assert word not in text, word
    assert "a simulation" in pages(published.card)
    assert "does not show who signed" in published.card["signing"]["statement"]


@pytest.mark.parametrize("mode", get_args(ClippingMode))
def test_the_way_of_clipping_is_named_with_its_norm(mode: str, facts: "CardFacts", config_of: ConfigOf) -> None:
    config = config_of({"privacy.clipping": mode, "privacy.clipping_norm": 0.47})
    card = privacy_card(replace(facts, config=config), "00" * 32)
    assert (card["privacy"]["clipping_mode"], card["privacy"]["clipping_norm"]) == (mode, 0.47)
    page = privacy_page(card)
    assert f"| Clipping | {mode} |" in page
    assert card["privacy"]["clipping"] in pages(card).replace("&#39;", "'").replace("\\", "")
    assert CLIPPING[mode] in card["privacy"]["clipping"]
    section = render({}, card).split('<section id="card"')[1].split("</section>")[0]
    assert f"{mode}, C = 0.47" in section
    others = [words for name, words in CLIPPING.items() if name != mode]
    assert not any(words in page for words in others)


def test_the_words_of_automatic_clipping_have_the_number_that_is_used() -> None:
    assert f"(|g| + {STABILISER})" in CLIPPING["automatic"]


def test_a_way_of_clipping_without_words_has_no_card() -> None:
    with pytest.raises(PrivacyError, match=r"privacy\.clipping = 'none': no privacy card"):
        clipping_words("local", "record", "none")


def test_the_central_trust_model_is_never_called_local(facts: "CardFacts") -> None:
    card = privacy_card(replace(facts, trust="central", unit="site", relation="add or remove one site"), "00" * 32)
    text = pages(card)
    assert "Central trust model: the server receives each site's update without noise" in card["privacy"]["trust_meaning"]
    assert card["not_protected"][0] == disclosure.THE_SERVER
    assert "Local trust model" not in text
    assert "whether and when" not in " ".join([*card["public"], *card["not_protected"]]), "the sample of sites is secret"
    assert "No ledger adds them up" in " ".join(card["not_protected"])
    assert "one record" not in card["privacy"]["guarantee"]
    assert card["attack_risk"].startswith("Suppose an attacker knows everything except whether site north was used")


def test_a_trust_model_without_words_has_no_card(facts: "CardFacts") -> None:
    with pytest.raises(PrivacyError, match=r"privacy\.trust = 'nobody': no privacy card"):
        privacy_card(replace(facts, trust="nobody"), "00" * 32)


def test_shared_noise_states_what_colluding_sites_could_learn(facts: "CardFacts") -> None:
    shared = SharedNoise(sites=3, fewest=3, colluders=1, expected_batch=60.0, slack=0.0)
    event = MechanismEvent(0.2, 2.0, 1)
    sites = [replace(site, charges=tuple(replace(c, event=event) for c in site.charges)) for site in facts.sites]
    card = privacy_card(replace(facts, trust="distributed", shared=shared, sites=sites), "00" * 32)
    privacy, table = card["privacy"], card["privacy"]["colluders"]["table"]
    assert "It does not hold against more of them" in privacy["trust_meaning"]
    assert "Local trust model" not in pages(card)
    assert set(disclosure.SECURE_SUMS) <= set(card["not_protected"])
    assert [row["colluders"] for row in table] == [0, 1, 2]
    assert table[0]["epsilon"] < table[1]["epsilon"] < table[2]["epsilon"]
    assert table[1]["epsilon"] == pytest.approx(max(site["epsilon"] for site in card["sites"]), rel=1e-6)
    assert "colluding" in pages(card)
    wide = replace(shared, sites=10)  # in a larger sum, fewer colluders than planned leave less noise
    card = privacy_card(replace(facts, trust="distributed", shared=wide, sites=sites), "00" * 32)
    wider = card["privacy"]["colluders"]["table"]
    assert wider[0]["noise_multiplier"] == pytest.approx(2.0 * (10 / 9) ** 0.5, rel=1e-6)
    assert wider[2]["noise_multiplier"] == table[2]["noise_multiplier"] == pytest.approx(2.0 * (1 / 2) ** 0.5, rel=1e-6)


def test_secure_sums_of_deltas_change_no_epsilon_and_the_card_says_what_they_add(
    facts: "CardFacts", config_of: ConfigOf
) -> None:
    sites = [{"id": name, "file": "x.jsonl", "declared_size": 100} for name in "abc"]
    changes = {"data.sites": sites, "cohort.quorum": 3}
    plain, secure = (
        privacy_card(replace(facts, config=config_of({**changes, "aggregation.secure_sums": on})), "key")
        for on in (False, True)
    )
    assert plain["privacy"] == secure["privacy"]
    assert plain["sites"] == secure["sites"]
    said, before = " ".join(secure["data_access"]), " ".join(plain["data_access"])
    assert "Only the sum over at least three sites can be read" in said
    assert "The masks change no site's charge" in said
    assert "under masks" not in before
    assert set(disclosure.DELTA_SUMS) <= set(secure["not_protected"])
    assert not set(disclosure.DELTA_SUMS) & set(plain["not_protected"])


def test_without_privacy_nothing_is_claimed(without_privacy: "CardFacts") -> None:
    card = privacy_card(without_privacy, "00" * 32)
    assert card["privacy"]["enabled"] is False
    assert card["privacy"]["trust"] is None
    assert {site["epsilon"] for site in card["sites"]} == {None}
    assert card["attack_risk"].startswith("No limit can be stated")
    assert card["not_protected"][0] == disclosure.EVERY_RECORD
    text = pages(card)
    assert "This run had no differential privacy" in text
    for claim in ("-differentially private", "Trust model", "trust model", "at most", "Poisson", "noise multiplier"):
        assert claim not in text.replace("sampling rate q, clipping norm C and noise multiplier z", "")


def test_a_real_servers_card_does_not_say_what_a_site_alone_knows(facts: "CardFacts") -> None:
    sites = [replace(site, epsilon_ever=3.1337) for site in facts.sites]
    simulated, real = (privacy_card(replace(facts, sites=sites, simulated=given), "00" * 32) for given in (True, False))
    shown = [canonical_json(card) + pages(card) for card in (simulated, real)]
    assert "3.1337" in shown[0]  # the search would find it
    assert "3.1337" not in shown[1]
    assert "no site released it" in real["anonymisation"]["statement"]
    assert real["run"]["simulated"] is real["signing"]["simulation_key"] is False


def test_no_card_has_a_figure_of_personal_data_and_a_simulations_says_where_it_is(facts: "CardFacts") -> None:
    for simulated in (True, False):
        card = privacy_card(replace(facts, simulated=simulated), "00" * 32)
        assert set(card["anonymisation"]) == {"statement"}
        assert NUMBER.findall(card["anonymisation"]["statement"]) == []
        assert "the report of the simulation states it" in card["anonymisation"]["statement"] or not simulated


def test_the_printed_figures_never_flatter(published: Any) -> None:
    page = privacy_page(published.card)
    for site in published.card["sites"]:
        row = next(
            line for line in page.splitlines() if line.startswith(f"| {site['site_id']} | ") and "training" not in line
        )
        printed = float(row.split(" | ")[2])
        assert site["epsilon"] <= printed < site["epsilon"] + 0.00011
        for limit in site["attack"]:
            assert f"at most {share_at_most(limit['true_positive_rate'])}" in page
    assert f"({epsilon(max(s['epsilon'] for s in published.card['sites']))}, " in published.card["privacy"]["guarantee"]


@given(st.floats(0, 1))
def test_shares_are_rounded_to_the_side_that_does_not_flatter(share: float) -> None:
    upper = float(share_at_most(share).removesuffix(" %")) / 100
    assert share - 1e-15 <= upper < share + 0.0011
