"""A base model in 4 bits: loaded so, adapted as ever, its per-record gradients exact; refused by name where it can't be."""

import pytest
import torch
from fixture_types import Change, LearnerOf, RecordsOf
from peft.tuners.ia3 import IA3Layer
from peft.tuners.lora import LoraLayer

from client.exactness import self_check
from client.preflight import need_of
from privacy.dp.per_record import cover_of
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.ops import extras


def test_without_the_package_it_is_refused_with_the_remedy(
    classify: RunConfig, change: Change, learner_of: LearnerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "is_installed", lambda package: package != "bitsandbytes")
    with pytest.raises(ConfigError, match=r"^model\.dtype = 'nf4' needs the extra 'quantised': .*, or set 'bfloat16'$"):
        learner_of(change(classify, {"model.dtype": "nf4"}))


@pytest.mark.parametrize("family", ["lora", "ia3"])
def test_a_base_in_four_bits_has_exact_per_record_gradients_and_the_adapter_of_any_other(
    either: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, family: str
) -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes")
    tree = {**either.model_dump(mode="json"), "adapter": {"family": family}}
    plain, learner = (
        learner_of(RunConfig.parse({**tree, "model": {**tree["model"], "dtype": dtype}}, "test"))
        for dtype in (either.model.dtype, "nf4")
    )
    layers = [layer for layer in learner.model.modules() if isinstance(layer, LoraLayer | IA3Layer)]
    assert layers
    assert all(isinstance(layer.base_layer, bitsandbytes.nn.Linear4bit) for layer in layers)
    cover = cover_of(learner.model)
    assert len(cover.adapted) == len(layers)
    assert not cover.missing
    one, other = (
        {name: p for name, p in made.model.named_parameters() if "lora_" in name or "ia3_" in name}
        for made in (plain, learner)
    )
    assert {name: p.requires_grad for name, p in one.items()} == {name: p.requires_grad for name, p in other.items()}
    assert all(torch.equal(one[name], other[name]) for name in one)  # A is that of the seed, on every site
    computed = layers[0].base_layer.compute_dtype
    self_check(learner, learner.task.encode(records_of(either, 6)), 4)  # raises above 1e-3
    assert layers[0].base_layer.compute_dtype is computed


def test_it_is_planned_for_with_less_memory(either: RunConfig, change: Change) -> None:
    assert need_of(change(either, {"model.dtype": "nf4"})).fixed < need_of(either).fixed
