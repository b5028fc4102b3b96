"""A whole comparison with tiny models: what it holds, and that an interrupted one goes on."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from examples import run_examples
from fixture_types import Change, TinyRun

from privacy.entries import read
from shared.config.run import RunConfig
from shared.errors import ConfigError, RunError
from simulations.studies import compare as comparison
from simulations.studies.arms import arms_of
from simulations.studies.arms import config_of as config_of_arm
from simulations.studies.compare import compare
from simulations.studies.results import Arm

ARMS = ["base", "prompts", "federation", "pooled"]


@pytest.fixture(scope="module")
def config(tiny_run: TinyRun, tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    prompts = {"prompt_model": str(tiny_llama), "shots": [0, 1], "prompt_records": 5}
    changes = {"data.held_out": 0.4, "evaluation.validation": 0.4, "privacy": {"epsilon": 8.0, "self_check": 1}}
    changes |= {"compare": {"arms": ARMS, "epsilons": [8.0], "seeds": 1, **prompts}}
    return tiny_run(tmp_path_factory.mktemp("compared"), changes)


@pytest.mark.slow
def test_an_interrupted_comparison_goes_on_and_loses_no_finished_row(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch, plainly: Callable[..., Any]
) -> None:
    ran, interrupted = list[Arm](), list[Any]()
    original = comparison.run_arm

    def counted(*given: Any) -> Any:
        if len(ran) == 3 and not interrupted:
            interrupted.append(given)
            raise KeyboardInterrupt
        ran.append(given[2])
        return original(*given)

    monkeypatch.setattr(comparison, "scrub_sites", plainly)
    monkeypatch.setattr(comparison, "run_arm", counted)
    with pytest.raises(KeyboardInterrupt):
        compare(config)
    assert len(ran) == 3
    done = compare(config)
    folder, document = done.folder, done.document
    assert [(row["value"], row["value_low"]) for row in done.rows] == [
        (row["value"]["value"], row["value"]["low"]) for row in document["rows"]
    ]
    assert len(done.to_frame()) == len(done.rows)
    assert len((folder / "compare.csv").read_text(encoding="utf-8").splitlines()) == len(done.rows) + 1
    assert list(done.conclusions) == document["conclusions"]
    monkeypatch.setattr(RunConfig, "load", lambda path, overrides: config)
    assert run_examples(compare) == 6
    assert config.compare is not None
    assert sorted(map(repr, ran)) == sorted(map(repr, arms_of(config, config.compare)))  # each once
    monkeypatch.setattr(comparison, "run_arm", None)  # nothing is left to run
    assert compare(config).document == document
    assert json.loads((folder / "compare.json").read_text(encoding="utf-8")) == document
    _look_at(document, folder)


def _look_at(document: dict[str, Any], folder: Path) -> None:
    methods = {(row["method"], row["epsilon"]) for row in document["rows"]}
    trained = {("federation", None), ("federation", 8.0), ("pooled", None), ("pooled", 8.0)}
    assert methods == {("base", None), ("prompt", None), *trained}
    assert {answer["question"] for answer in document["conclusions"]} == {
        "Is training needed?",
        "What does privacy cost?",
        "What would pooling all records add?",
    }
    assert [(each["by"], each["method"], each["epsilon"]) for each in document["disparities"]] == [
        (by, method, 8.0) for by in ("class", "site") for method in ("federation", "pooled")
    ]
    for row in document["rows"]:
        assert row["seconds"] > 0
        assert row["kwh"] >= 0
        assert (row["bytes"] > 0) == ((row["method"], row["epsilon"]) in trained)
    page = (folder / "compare.html").read_text(encoding="utf-8")
    assert page.count("<tr>") > len(document["rows"])
    assert not re.findall(r"(?:src|href)=\"(?!#)", page)
    ledgers = list(folder.glob("arms/*/ledger/*/ledger.jsonl"))
    assert len(ledgers) == 2 * 2 + 2  # every training at every site left its entry, private or not
    for ledger in ledgers:
        assert [entry.kind for entry in read(ledger)] == ["open", "reserve", "commit"]


def test_an_arm_changes_what_it_says_and_nothing_else(config: RunConfig) -> None:
    both = config_of_arm(config, Arm("federation", config.model.name, ("north", "south"), 1.0, 9))
    assert (both.privacy.epsilon, both.run.seed, both.cohort.quorum) == (1.0, 9, 2)
    assert both.training == config.training
    assert both.data == config.data
    alone = config_of_arm(config, Arm("alone", config.model.name, ("south",), None, 0))
    assert [site.id for site in alone.data.sites] == ["south"]
    assert not alone.privacy.enabled
    pooled = config_of_arm(config, Arm("pooled", config.model.name, ("north", "south"), 8.0, 0))
    assert pooled.data.sites[0].declared_size == sum(site.declared_size for site in config.data.sites)


def test_a_lone_site_has_nothing_to_trim(config: RunConfig) -> None:
    tree = config.model_dump(mode="json") | {"aggregation": {"method": "trimmed_mean", "trim": 0, "optimiser": "momentum"}}
    trimmed = RunConfig.parse(tree, "test")
    both, alone = (
        config_of_arm(trimmed, Arm("federation", config.model.name, sites, None, 0)).aggregation
        for sites in (("north", "south"), ("south",))
    )
    assert (both.method, alone.method) == ("trimmed_mean", "mean")
    assert alone.optimiser == "momentum"


def test_an_arm_that_cannot_share_a_noise_takes_steps_of_its_own_at_a_rate_for_its_own_noise(config: RunConfig) -> None:
    sites = [{"id": name, "file": f"{name}.jsonl", "declared_size": 40} for name in ("north", "south", "west")]
    tree = config.model_dump(mode="json")
    tree |= {"data": {**tree["data"], "sites": sites}, "aggregation": {}, "training": {"rounds": 2, "sampling_rate": 1.0}}
    shared = RunConfig.parse({**tree, "privacy": {"trust": "distributed"}, "cohort": {"quorum": 3}}, "test")
    together = config_of_arm(shared, Arm("federation", config.model.name, ("north", "south", "west"), 8.0, 0))
    assert together.privacy.trust == "distributed"
    free = config_of_arm(shared, Arm("federation", config.model.name, ("north", "south", "west"), None, 0))
    alone, strict = (config_of_arm(shared, Arm("alone", config.model.name, ("west",), e, 0)) for e in (8.0, 1.0))
    assert [each.aggregation.optimiser for each in (together, free, alone)] == ["sgd", "plain", "plain"]
    assert [each.training.schedule for each in (together, free, alone)] == ["constant", "linear", "linear"]
    assert {each.privacy.trust for each in (free, alone, strict)} == {"local"}
    assert free.training.learning_rate < alone.training.learning_rate < strict.training.learning_rate


def test_an_arm_without_noise_or_with_too_few_sites_sends_its_deltas_without_masks(config: RunConfig) -> None:
    sites = [{"id": name, "file": f"{name}.jsonl", "declared_size": 40} for name in ("north", "south", "west")]
    tree = config.model_dump(mode="json")
    tree |= {"data": {**tree["data"], "sites": sites}, "cohort": {"quorum": 3}, "aggregation": {"secure_sums": True}}
    secure, everyone = RunConfig.parse({**tree, "privacy": {}}, "test"), ("north", "south", "west")
    masked = [
        config_of_arm(secure, Arm("federation", config.model.name, chosen, epsilon, 0)).aggregation.secure_sums
        for chosen, epsilon in ((everyone, 8.0), (everyone, None), (everyone[:2], 8.0))
    ]
    assert masked == [True, False, False]


def test_the_demo_whose_sites_share_one_noise_can_be_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*_: object) -> None:
        raise RunError("nothing was refused")

    monkeypatch.setattr(comparison, "locate", lambda model: None)
    monkeypatch.setattr(comparison, "read_sites", reached)
    demo = RunConfig.load(Path(__file__).parents[4] / "configs" / "demo.toml", ['compare.arms=["base", "federation"]'])
    with pytest.raises(RunError, match="nothing was refused"):
        compare(demo)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"privacy.ledger": "books"}, "privacy.ledger"),
        ({"privacy.trust": "central", "privacy.unit": "site"}, "single sites"),
        ({"task": {"name": "instruction"}}, "compare.arms"),
    ],
)
def test_what_a_comparison_cannot_do_is_refused_before_it_starts(
    config: RunConfig, change: Change, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        compare(change(config, changes))
