"""What is LoRA's own in the fused layer: dropout, inputs that layers share, and what is left to hooks or refused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from record_by_record import DECODER, Stack, distance, looped, losses, per_record, trained
from torch import nn
from transformers import LlamaModel

from privacy.dp.gradients import dense
from privacy.dp.per_record import cover_of, fused, per_record_gradients
from shared.errors import PrivacyError


class Other(nn.Linear):
    """Not the layer that is fused, as a quantised one is not."""


def with_dropout(trains: str, seed: int, width: int, hidden: int, base: type[nn.Linear]) -> Any:
    torch.manual_seed(seed)
    config = LoraConfig(r=3, lora_alpha=3, lora_dropout=0.4, target_modules=["first", "second"], modules_to_save=["head"])
    model: Any = get_peft_model(Stack(width, hidden), config).double()
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter, std=0.5)
            parameter.requires_grad_(any(f"lora_{factor}" in name for factor in trains))
    for layer in model.modules():
        if hasattr(layer, "base_layer"):
            layer.base_layer.__class__ = base
    return model.train()


@given(
    trains=st.sampled_from(["A", "B", "AB"]),
    seed=st.integers(0, 1000),
    positions=st.sampled_from([(), (1,), (17,), (2, 9)]),
    sizes=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    base=st.sampled_from([nn.Linear, Other]),
)
@settings(max_examples=20, deadline=None)
def test_under_dropout_it_draws_and_uses_the_masks_of_peft(
    trains: str, seed: int, positions: tuple[int, ...], sizes: tuple[int, int], base: type[nn.Linear]
) -> None:
    model = with_dropout(trains, seed, *sizes, base)
    x = torch.randn(4, *positions, sizes[0], dtype=torch.float64, requires_grad=True)
    torch.manual_seed(seed)
    own = losses(model, x)
    expected = looped(model, lambda i: own[i], 4)
    expected_x = torch.autograd.grad(own.sum(), x, retain_graph=True)[0]
    with per_record_gradients(model):
        torch.manual_seed(seed)
        ours = losses(model, x)
        found_x = torch.autograd.grad(ours.sum(), x)[0]
        found = {name: dense(p.grad_sample) for name, p in trained(model).items()}
    torch.testing.assert_close(ours, own, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found_x, expected_x, rtol=1e-10, atol=1e-12)
    assert distance(found, expected) < 1e-12
    with fused(model):
        torch.manual_seed(seed)
        plain = torch.autograd.grad(losses(model, x).sum(), list(trained(model).values()))
    for one, other in zip(plain, expected.values(), strict=True):
        torch.testing.assert_close(one, other.sum(dim=0), rtol=1e-9, atol=1e-12)


def test_layers_on_one_input_keep_it_once() -> None:
    config = LoraConfig(r=3, target_modules=["q_proj", "k_proj", "v_proj"])
    model: Any = get_peft_model(LlamaModel(DECODER), config).double().train()  # type: ignore[arg-type]
    attention = model.base_model.model.layers[0].self_attn
    x = torch.randn(2, 6, 16, dtype=torch.float64, requires_grad=True)
    kept: list[int] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.untyped_storage().data_ptr())
        return tensor

    with per_record_gradients(model), torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        outputs = [layer(x) for layer in (attention.q_proj, attention.k_proj, attention.v_proj)]
    assert len(outputs) == 3
    assert kept.count(x.untyped_storage().data_ptr()) == 3  # three times the same memory


class Words(nn.Module):
    """An embedding below a normalised linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 6)
        self.norm = nn.LayerNorm(6)
        self.linear = nn.Linear(6, 4)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.linear(self.norm(self.embedding(ids))).mean(dim=1)  # type: ignore[no-any-return]


def words(network: nn.Module | None = None, **choices: Any) -> nn.Module:
    torch.manual_seed(1)
    model = get_peft_model(network or Words(), LoraConfig(**{"r": 2, "target_modules": ["linear"], **choices})).double()
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter)
    return model.train()


class Filtered(Words):
    """The same with a convolution over neighbouring words in the linear layer's place."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Conv1d(6, 4, kernel_size=3, padding=1)  # type: ignore[assignment]

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.linear(self.norm(self.embedding(ids)).transpose(1, 2)).mean(dim=2)  # type: ignore[no-any-return]


FALLEN_BACK: dict[str, Callable[[], nn.Module]] = {
    "a convolution": lambda: words(Filtered()),
    "a bias on factor B": lambda: words(lora_bias=True),
    "a trained normalisation": lambda: words(modules_to_save=["norm"]),
    "a trained embedding": lambda: words(modules_to_save=["embedding"]),
    "a trained bias of the base": lambda: words(bias="all"),
}


@pytest.mark.parametrize("make", FALLEN_BACK.values(), ids=FALLEN_BACK.keys())
def test_what_the_fused_layers_do_not_cover_falls_back_on_hooks_and_is_exact(make: Callable[[], nn.Module]) -> None:
    model, ids = make(), torch.randint(0, 9, (5, 7))
    assert cover_of(model).missing
    expected = looped(model, lambda i: losses(model, ids[i : i + 1]).sum(), 5)
    assert distance(per_record(model, lambda: losses(model, ids)), expected) < 1e-12


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: words(use_dora=True), "linear: per-record gradients of Dora"),
        (lambda: words(target_modules=["embedding"]), "embedding.lora_embedding_A"),
    ],
    ids=["DoRA", "an embedding's adapter"],
)
def test_what_neither_covers_is_refused_by_name(make: Callable[[], nn.Module], name: str) -> None:
    with pytest.raises(PrivacyError, match=name) as caught, per_record_gradients(make()):
        pass
    assert "\n" not in str(caught.value)


class Tied(nn.Module):
    """A trained head whose weight another layer uses as well."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 6)
        self.head = nn.Linear(6, 9, bias=False)
        self.head.weight = self.embedding.weight


def test_a_tensor_that_an_uncovered_layer_shares_is_not_covered() -> None:
    assert cover_of(Tied()).missing == ("embedding.weight",)
