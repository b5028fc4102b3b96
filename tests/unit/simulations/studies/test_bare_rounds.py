"""Rounds without messages train what the real rounds train, and a head alone trains by the same code."""

import math
import secrets
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import ConfigOf, RecordsOf

from client.data_stage.site_data import SiteData
from privacy.accounting import Accountant
from privacy.anonymise.scrubbed import Scrubbed
from privacy.secagg.noise_shares import NoiseShares
from server.aggregation import gradient_step as steps_of_server
from shared.adapters.peft import read_adapter, write_adapter
from shared.tasks.classification import ClassOutcome
from simulations.assembly import assemble, federate, held_out_records
from simulations.planning import Plans, site_plans
from simulations.studies.bare_rounds import BareFederation
from simulations.studies.baselines import baselines_of

CHANGES: dict[str, Any] = {
    "model": {"dtype": "float32", "device": "cpu", "max_length": 24},
    "adapter": {"rank": 2, "last_layers": 1},
    "training": {"rounds": 2, "steps": 1, "sampling_rate": 1.0, "learning_rate": 0.05, "head_learning_rate": 0.05},
    "data.sites": [{"id": name, "file": f"{name}.jsonl", "declared_size": 24} for name in ("a", "b", "c")],
    "cohort.min_records": 4,
    "privacy.self_check": 1,
    "evaluation.bootstrap": 100,
}
SHARED = {"privacy.trust": "distributed", "aggregation": {"optimiser": "adamw", "weights": "declared"}, "cohort.quorum": 3}


@pytest.fixture
def data(config_of: ConfigOf, tiny_bert: Path, records_of: RecordsOf) -> list[SiteData]:
    config = config_of({**CHANGES, "model.name": str(tiny_bert)})
    records = records_of(config, 30)
    return [SiteData(site, [], Scrubbed(tuple(records[:24])), Scrubbed(tuple(records[24:]))) for site in config.data.sites]


def test_without_messages_the_same_model_is_trained(
    config_of: ConfigOf, tiny_bert: Path, data: list[SiteData], tmp_path: Path
) -> None:
    config = config_of({**CHANGES, "model.name": str(tiny_bert), "privacy.enabled": False})
    plans = Plans.of(config)
    real = assemble(config, plans, data, held_out_records(config, data), tmp_path)
    rounds = list(federate(real, config, secrets.token_hex(8), lambda _: None, lambda _: {}, lambda _: None))
    write_adapter(real.learner.model, rounds[-1].adapter)
    wanted, bare = real.measures.evaluator.outcome(), BareFederation.of(config, data)
    for _ in range(2):  # it may train again: each run begins at the same adapter
        found = bare.outcome(config, plans.sites)
        assert isinstance(found, ClassOutcome)
        assert isinstance(wanted, ClassOutcome)
        assert found.probabilities is not None
        assert wanted.probabilities is not None
        np.testing.assert_allclose(found.probabilities, wanted.probabilities, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("trust", [{}, SHARED])
def test_a_head_alone_is_trained_by_the_plan_of_the_run_and_is_the_only_private_baseline(
    config_of: ConfigOf, tiny_bert: Path, data: list[SiteData], tmp_path: Path, trust: dict[str, Any]
) -> None:
    config = config_of({**CHANGES, "model.name": str(tiny_bert), **trust})
    prepared = assemble(config, Plans.of(config), data, held_out_records(config, data), tmp_path)
    found = {baseline.name: baseline for baseline in baselines_of(prepared.measures.evaluator, prepared.sites)}
    assert [name for name, baseline in found.items() if baseline.private] == ["head alone on frozen embeddings"]
    assert len(found) == 3
    assert all(0 <= baseline.metrics["accuracy"].value <= 1 for baseline in found.values())


def test_without_its_noise_a_shared_step_follows_the_mean_gradient_of_all_records(
    config_of: ConfigOf, tiny_bert: Path, data: list[SiteData], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NoiseShares, "noised", lambda self, steps: steps.numpy().astype(np.uint32))
    monkeypatch.setattr(steps_of_server, "SIGNAL", math.inf)  # the rate does not fall with the noise that is left out
    bound, rate = 200.0, 10.0  # so large a bound clips nothing
    training = {
        "rounds": 1,
        "steps": 1,
        "sampling_rate": 1.0,
        "warmup": 0.0,
        "learning_rate": rate,
        "head_learning_rate": rate,
    }
    changes = {**CHANGES, **SHARED, "aggregation": {"optimiser": "sgd", "weights": "declared"}, "training": training}
    config = config_of({**changes, "model.name": str(tiny_bert), "privacy.clipping_norm": bound})
    bare = BareFederation.of(config, data)
    bare.outcome(config, site_plans(config, Accountant()))
    moved = read_adapter(bare.learner.model).minus(bare.start)
    write_adapter(bare.learner.model, bare.start)
    examples = [example for site in bare.sites.values() for example in site.data.examples]
    torch.autograd.backward(bare.learner.task.losses(bare.learner.model.eval(), bare.learner.padded(examples)).mean())
    for name, parameter in bare.learner.model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None
            np.testing.assert_allclose(moved.arrays[name], -rate / bound * parameter.grad.numpy(), rtol=0.01, atol=1e-5)
