from typing import get_args

import pytest
from fixture_types import LearnerOf
from peft import LoHaConfig, get_peft_model
from record_by_record import ENCODER
from transformers import BertModel

from privacy.dp.per_record import FUSED, cover_of
from shared.adapters.families import FAMILIES, packable
from shared.adapters.peft import trained_shapes
from shared.config.adapter import FAMILIES as DECLARED
from shared.config.adapter import FamilyName
from shared.config.run import RunConfig


def test_every_family_of_the_config_has_its_code() -> None:
    assert set(FAMILIES) == set(DECLARED) == set(get_args(FamilyName))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_packed_has_a_fused_operation(either: RunConfig, learner_of: LearnerOf, family: FamilyName) -> None:
    """Opacus' hooks would take a packed row of records for one record."""
    tree = {**either.model_dump(mode="json"), "adapter": {"family": family}}
    model = learner_of(RunConfig.parse(tree, "test")).model
    packed = {name for name in trained_shapes(model) if packable(name)}
    assert packed
    assert not packed & set(cover_of(model).missing)


def test_a_family_without_a_fused_operation_is_left_to_hooks_and_not_packed() -> None:
    model = get_peft_model(BertModel(ENCODER), LoHaConfig(target_modules=["query"]))
    assert not any(isinstance(layer, each.LAYER) for layer in model.modules() for each in FUSED)
    names = set(trained_shapes(model))
    assert set(cover_of(model).missing) == names
    assert not any(map(packable, names))
