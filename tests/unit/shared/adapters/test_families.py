"""What every family of adapters must do: start as the base model, train under privacy, and come back from the disk."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from fixture_types import Change, ConfigOf, LearnerOf, OpenBudget, RecordsOf, Shake
from one_site import site_of
from peft import LoHaConfig, PeftModel, get_peft_model
from record_by_record import ENCODER
from transformers import AutoModel, AutoModelForCausalLM, BertModel

from privacy.dp.per_record import FUSED, cover_of
from privacy.dp.plan import PrivacyPlan
from server.export.merged import merged
from shared.adapters.core import cores
from shared.adapters.families import FAMILIES, packable
from shared.adapters.peft import base_only, read_adapter, trained_shapes
from shared.config.adapter import FAMILIES as DECLARED
from shared.config.adapter import FamilyName
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.tasks.adapter_files import load_adapter, save_adapter
from shared.tasks.base import Learner
from shared.tasks.examples import Batch
from shared.wire.messages import TrainOrder


@pytest.fixture(params=FAMILIES)
def adapted(request: pytest.FixtureRequest, either: RunConfig) -> RunConfig:
    """Return the config of each of two tasks with an adapter of each family."""
    return RunConfig.parse({**either.model_dump(mode="json"), "adapter": {"family": request.param}}, "test")


def a_batch(learner: Learner, records_of: RecordsOf, config: RunConfig) -> Batch:
    examples = learner.task.encode(records_of(config, 6))
    return next(learner.batches(examples, range(6), 10_000))[1]


def test_every_family_of_the_config_has_its_code() -> None:
    assert set(FAMILIES) == set(DECLARED) == set(get_args(FamilyName))


def test_what_is_packed_has_a_fused_operation(adapted: RunConfig, learner_of: LearnerOf) -> None:
    """Opacus' hooks would take a packed row of records for one record."""
    model = learner_of(adapted).model
    packed = {name for name in trained_shapes(model) if packable(name)}
    assert packed
    assert not packed & set(cover_of(model).missing)


def test_a_family_without_a_fused_operation_is_left_to_hooks_and_not_packed() -> None:
    model = get_peft_model(BertModel(ENCODER), LoHaConfig(target_modules=["query"]))
    assert not any(isinstance(layer, each.LAYER) for layer in model.modules() for each in FUSED)
    names = set(trained_shapes(model))
    assert set(cover_of(model).missing) == names
    assert not any(map(packable, names))


def test_a_new_adapter_changes_nothing_and_the_base_alone_is_the_base_whatever_was_learnt(
    adapted: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, shake: Shake
) -> None:
    learner = learner_of(adapted)
    batch, head = a_batch(learner, records_of, adapted), dict(read_adapter(learner.model).arrays)
    learner.model.eval()
    with torch.no_grad():
        before = learner.task.losses(learner.model, batch)
        with base_only(learner.model):
            assert torch.equal(learner.task.losses(learner.model, batch), before)
        shake(learner)
        for name, parameter in learner.model.named_parameters():
            if name.startswith("head."):
                parameter.copy_(torch.from_numpy(head[name]))
        tuned = learner.task.losses(learner.model, batch)
        with base_only(learner.model):
            assert torch.equal(learner.task.losses(learner.model, batch), before)
        assert torch.equal(learner.task.losses(learner.model, batch), tuned)
        assert not torch.allclose(tuned, before)


def test_peft_alone_loads_what_is_saved_and_it_comes_back_bit_for_bit(
    adapted: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, shake: Shake, tmp_path: Path
) -> None:
    learner = learner_of(adapted)
    shake(learner)
    save_adapter(learner, adapted, read_adapter(learner.model), tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    config, loaded = load_adapter(tmp_path)
    assert config.digest() == adapted.digest()
    assert read_adapter(loaded.model).digest() == read_adapter(learner.model).digest()
    encoder = adapted.task.name == "classification"
    base = (AutoModel if encoder else AutoModelForCausalLM).from_pretrained(adapted.model.name)
    rebuilt = PeftModel.from_pretrained(base, str(tmp_path)).eval()
    batch = a_batch(learner, records_of, adapted)
    tuned: Any = learner.model.eval()
    with torch.no_grad():
        alone, ours, in_one = (
            network(input_ids=batch.ids, attention_mask=batch.mask, output_hidden_states=True).hidden_states[-1]
            for network in (rebuilt, tuned.encoder if encoder else tuned, merged(loaded).eval())
        )
    torch.testing.assert_close(alone, ours, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(in_one, ours, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("family", "distillation"),
    [("core", 0.0), pytest.param("ia3", 0.0, marks=pytest.mark.slow), pytest.param("ia3", 0.5, marks=pytest.mark.slow)],
)
def test_a_site_checks_its_gradients_trains_it_under_privacy_and_sends_what_changed(
    either: RunConfig,
    change: Change,
    learner_of: LearnerOf,
    records_of: RecordsOf,
    open_budget: OpenBudget,
    family: FamilyName,
    distillation: float,
) -> None:
    tree = {**either.model_dump(mode="json"), "adapter": {"family": family}}
    config = change(RunConfig.parse(tree, "test"), {"training.distillation": distillation})
    learner, training = learner_of(config), config.training
    plan = PrivacyPlan(training.sampling_rate, 1.0, config.privacy.clipping_norm, training.steps, training.rounds, 1e-4, 100)
    site = site_of("north", 100, config, records_of(config, 30), learner, plan, open_budget("north"))
    order = TrainOrder("r", 1, "n" * 32, config, read_adapter(learner.model), 2, "0.1.0")
    frames = [factor.frame.clone() for factor in cores(learner.model).values()]
    delta = site.train(order).delta
    assert delta.spec == order.adapter.spec
    assert all(np.any(array) for array in delta.arrays.values())
    assert all(np.abs(array).max() < 0.5 for name, array in delta.arrays.items() if "ia3_l" in name)  # not near 1
    assert all(torch.equal(a, b.frame) for a, b in zip(frames, cores(learner.model).values(), strict=True))


@pytest.mark.parametrize(
    ("family", "name", "value"),
    [
        ("core", "dropout", 0.1),
        ("core", "train", "AB"),
        *(("ia3", *each) for each in {"rank": 8, "alpha": 1, "scaling": "standard", "dropout": 0.0, "train": "B"}.items()),
    ],
)
def test_what_only_lora_reads_is_refused_even_at_its_default(
    config_of: ConfigOf, family: str, name: str, value: Any
) -> None:
    assert name in DECLARED["lora"].fields
    reason = rf"adapter\.{name}: does not apply to family = '{family}'; leave it out, or set family = 'lora'"
    with pytest.raises(ConfigError, match=reason) as caught:
        config_of({"adapter.family": family, f"adapter.{name}": value})
    assert "\n" not in str(caught.value)
