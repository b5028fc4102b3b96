"""No figure of a server's report comes from a private record without an event in the ledger: every field has an origin.

A field that this table does not know fails the test, so that a new one has to say where it comes from.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import Change, LearnerOf, RecordsOf
from made_round import made_round

from privacy.dp.plan import PrivacyPlan
from privacy.dp.run_plans import plan_for_site
from privacy.mechanism_event import MechanismEvent
from server.evaluation import Evaluator
from server.model_assessment import Rival, assess
from server.probes import groups, probe
from server.report.document import report
from server.report.facts import Baseline, RunFacts, SiteFacts
from server.report.html import render
from server.rounds import Round
from shared.config.run import RunConfig
from shared.models.folders import ModelFiles
from shared.models.load import LoadedModel
from shared.ops.energy import Lap
from shared.wire.chain_head import ChainHead

METRICS = MechanismEvent(1.0, 20.0, 1, "metrics")

# What a server may know, and from where. The first pattern that fits a path counts.
ORIGINS: tuple[tuple[str, str], ...] = (
    # Public by declaration, or the server's own clock, machine and traffic.
    (r"config(\.|$).*|hushtune|run|run_id|task|created|config_digest|seed|seconds|stages\..*|versions\..*", "public"),
    (r"model\..*|adapter\.(path|trainable_parameters|bytes)|privacy\..*", "public"),
    (r"rounds\.\d+\.(round|committed|bytes_up|bytes_down|seconds|kwh|co2e_kg|adapter_digest)", "public"),
    (r"rounds\.\d+\.(stages|accepted|rejected|missing|ledgers|record|replies)(\..*|$)|failures(\.\d+|$)", "public"),
    (r"energy(\..*|$)", "public"),
    (r"sites\.\d+\.(site_id|declared_size|ledger\..*)", "public"),
    # The plan, which is made from public numbers, and what it says of each round that was asked for.
    (r"sites\.\d+\.(epsilon|target_delta|noise_multiplier|sampling_rate|steps|epsilon_by_round\.\d+|epsilon_ever)", "plan"),
    # Records and texts that the server may use, and the adapter, which the training events pay for.
    (r"(base|final)\..*|baselines(\..*|$)|assessment\..*|probes(\..*|$)|rounds\.\d+\.metrics\..*", "held-out"),
    (r"adapter\.digest|choice|rounds\.\d+\.lost", "held-out"),  # lost: of the mean of the deltas, as the adapter is
    # Sums of a site's records: noised, and charged to its ledger as an event of their own.
    (r"rounds\.\d+\.released\.(?P<site>[^.]+)\..*", "released"),
    # What a site's policy lets leave with no noise, in runs without privacy alone.
    (r"rounds\.\d+\.site_kwh(?:\.(?P<site>[^.]+))?", "unreleased"),
    # What a simulator alone may know; of a server it must be empty.
    (r"sites\.\d+\.(records|held_out|quarantined|recall|quarantine_reasons|touched)", "private"),
    (r"anonymisation\.(entities|recall|overall|quarantined)|by_site|personal", "private"),
)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no container, or an empty one, with its path."""
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    inside = [leaf for key, each in inner for leaf in leaves(each, f"{path}.{key}" if path else str(key))]
    yield from inside or [(path, value)]


def unexplained(document: Mapping[str, Any], plans: Mapping[str, PrivacyPlan | None]) -> list[str]:
    """Fields of a server's report that no origin explains: unknown ones, private ones, and releases that nobody paid."""
    wrong = []
    for path, value in leaves(document):
        found = next(((origin, fit) for rule, origin in ORIGINS if (fit := re.fullmatch(rule, path))), None)
        empty = value is None or value == {} or value == [] or value == ()
        if found is None:
            wrong.append(f"{path}: of no known origin")
        elif found[0] == "private" and not empty:
            wrong.append(f"{path}: a figure of private records")
        elif found[0] == "unreleased" and not empty and plans.get(found[1]["site"]) is not None:
            wrong.append(f"{path}: a figure that the plan does not cover")
        elif found[0] == "released" and not empty:
            plan = plans.get(found[1]["site"])
            if plan is not None and "metrics" not in {event.purpose for event in plan.events}:
                wrong.append(f"{path}: released without an event in the plan")
    return wrong


@pytest.fixture(scope="module")
def evaluator(classify: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf) -> Evaluator:
    changes = {
        "evaluation.bootstrap": 100,
        "evaluation.probes": {"search": 1, "group": "when"},
        "training.micro_batch_tokens": 4096,
        "privacy.release": "metrics",
        "report.energy": True,
        "training.rounds": 2,
    }
    config = change(classify, changes)
    learner, records = learner_of(config), records_of(config, 24)
    owners, times = ["server"] * 24, ["early"] * 12 + ["late"] * 12
    return Evaluator(learner, learner.task.encode(records), owners, config, None, records, times)


def one_round(number: int, evaluator: Evaluator) -> Round:
    return made_round(
        number,
        metrics=evaluator.metrics(evaluator.outcome()),
        accepted=("north", "south"),
        released={site: {"loss": 7.5, "hits": 60.2, "records": 90.1} for site in ("north", "south")},
        ledgers={"north": ChainHead(2 * number, "a" * 64)},
        record=ChainHead(number, "b" * 64),
        stages={"train": 1.0},
    )


@pytest.fixture(scope="module")
def facts(evaluator: Evaluator, tiny_bert: Path) -> RunFacts:
    """Return what a server knows at the end of a run, by its own functions."""
    config, outcome = evaluator.config, evaluator.outcome()
    base = evaluator.learner.base
    files = ModelFiles("tiny", tiny_bert, ("model.safetensors",), "c" * 64, "org/tiny@" + "d" * 40)
    metrics, rounds = evaluator.metrics(outcome), [one_round(number, evaluator) for number in (1, 2)]
    rival = Rival("before training", outcome)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "RESAMPLES", 25)  # each takes long
        probes = probe(evaluator)
    return RunFacts(
        run_id="run-1",
        config=config,
        model=LoadedModel(files, "encoder", base.network, base.tokenizer, torch.device("cpu"), torch.float32),
        adapter={"path": "adapter", "digest": "e" * 64, "trainable_parameters": 8, "bytes": 4},
        baselines=[Baseline("before training", "", True, metrics, rival)],
        base=metrics,
        final=metrics,
        rounds=rounds,
        by_site={},
        sites=[
            SiteFacts(
                site.id,
                site.declared_size,
                plan_for_site(config, site.declared_size),
                (1, 2),
                rounds[-1].ledgers.get(site.id, ChainHead()),
            )
            for site in config.data.sites
        ],
        assessment=assess(evaluator, outcome, [rival]),
        probes=probes,
        laps=[Lap(1e-3, 4e-4), Lap(2e-3, 8e-4)],
    )


def plans_of(facts: RunFacts) -> dict[str, PrivacyPlan | None]:
    return {site.site_id: site.plan for site in facts.sites}


@pytest.mark.slow
def test_every_field_of_a_servers_report_has_an_origin(facts: RunFacts) -> None:
    document = report(facts) | {"stages": {"train": 2.0}, "seconds": 2.0}
    assert unexplained(document, plans_of(facts)) == []
    paths = {path for path, _ in leaves(document)}
    assert "rounds.0.released.north.hits" in paths  # the walk sees what it is there for
    assert "probes.swaps.0.records" in paths
    assert len(paths) > 200


def test_a_release_without_its_event_is_found(facts: RunFacts) -> None:
    plans = {site: plan and replace(plan, releases=()) for site, plan in plans_of(facts).items()}
    wrong = unexplained(report(facts), plans)
    assert len(wrong) == 2 * 2 * 3  # rounds, sites, sums
    assert all("released without an event" in line for line in wrong)


def test_what_a_site_let_leave_without_noise_is_shown_and_may_not_be_there_under_a_plan(facts: RunFacts) -> None:
    rounds = [replace(done, site_kwh={"1": 2e-4, "north": 3e-4}) for done in facts.rounds]  # a name may be a number
    document = report(replace(facts, rounds=rounds))
    plain = dict.fromkeys(("1", *plans_of(facts)))
    assert unexplained(document, plain) == []
    under_a_plan = [f"rounds.{number}.site_kwh.north: a figure that the plan does not cover" for number in (0, 1)]
    assert unexplained(document, plans_of(facts)) == under_a_plan
    page = render(document)
    assert "Site 1 reported the electricity of its rounds: 0.4 Wh in total" in page
    assert "Site north reported the electricity of its rounds: 0.6 Wh in total" in page


def test_a_count_of_private_records_is_found(facts: RunFacts) -> None:
    sites = [replace(facts.sites[0], records=93, entities={"PERSON": 7}), *facts.sites[1:]]
    wrong = unexplained(report(replace(facts, sites=sites)), plans_of(facts))
    assert "sites.0.records: a figure of private records" in wrong
    assert any(line.startswith("anonymisation.entities") for line in wrong)


def test_a_field_that_says_not_where_it_comes_from_is_found(facts: RunFacts) -> None:
    document = report(facts)
    document["sites"][1]["mean_length"] = 17.5
    document["surprise"] = {"x": 1}
    assert unexplained(document, plans_of(facts)) == [
        "sites.1.mean_length: of no known origin",
        "surprise.x: of no known origin",
    ]


def test_electricity_is_by_round_and_in_all(facts: RunFacts) -> None:
    document = report(facts)
    assert [row["kwh"] for row in document["rounds"]] == [1e-3, 2e-3]
    assert document["energy"]["kwh"] == pytest.approx(3e-3)
    assert document["energy"]["co2e_kg"] == pytest.approx(1.2e-3)
    assert document["energy"]["joules_per_point"] is None  # nothing was gained
    better = {"accuracy": replace(facts.base["accuracy"], value=facts.base["accuracy"].value + 0.2)}
    assert report(replace(facts, final=better))["energy"]["joules_per_point"] == pytest.approx(3.6e6 * 3e-3 / 20)
    assert report(replace(facts, laps=[None, Lap(1e-3)]))["energy"]["rounds"] == 1
    assert report(replace(facts, laps=[]))["energy"] is None
