"""What is IA3's own in the fused layer: small steps of a factor near 1, and what is refused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import IA3Config, get_peft_model
from record_by_record import Stack
from torch import nn

from privacy.dp.per_record import per_record_gradients
from shared.errors import PrivacyError


def adapted(base: nn.Module) -> Any:
    config = IA3Config(target_modules=["first", "second"], feedforward_modules=["second"], modules_to_save=["head"])
    model: Any = get_peft_model(base, config)  # type: ignore[arg-type]
    return model.train()


def test_on_a_base_in_bfloat16_the_answers_are_pefts_and_a_small_step_of_l_is_not_lost() -> None:
    model = adapted(Stack(6, 64))
    for name, parameter in model.named_parameters():
        parameter.data = torch.full_like(parameter, 1.003).float() if "ia3_l" in name else parameter.data.bfloat16()
    x = torch.randn(3, 7, 6, dtype=torch.bfloat16)
    expected = model(x)
    with per_record_gradients(model):
        assert torch.equal(model(x), expected)
    layer: Any = next(module for module in model.modules() if hasattr(module, "ia3_l") and not module.is_feedforward)
    assert not torch.equal(layer(x), layer.base_layer(x))  # 1.003 is 1 in bfloat16


class Filtered(nn.Module):
    """A convolution over images."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Conv2d(2, 3, kernel_size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.filter(x).flatten(1)  # type: ignore[no-any-return]


class Normalised(Stack):
    """The same with a normalisation that is trained itself."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(width, hidden)
        self.head = nn.LayerNorm(width)  # type: ignore[assignment]


@pytest.mark.parametrize(
    "make",
    [
        lambda: get_peft_model(Filtered(), IA3Config(target_modules=["filter"], feedforward_modules=[])),  # type: ignore[arg-type]
        lambda: adapted(Normalised(6, 5)),
    ],
    ids=["a convolution", "a trained normalisation"],
)
def test_what_is_not_covered_is_refused_by_name(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(PrivacyError, match="ia3_l: per-record gradients") as caught, per_record_gradients(make()):
        pass
    assert "\n" not in str(caught.value)
