"""The fused layer against PEFT's own, record by record: per-record gradients, norms, clipped sums, plain gradients."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from record_by_record import DECODER, ENCODER, TOLERANCE, Stack, distance, from_unpadded, looped, losses, per_record, trained
from torch import nn
from transformers import BertModel, LlamaModel

from privacy.dp.gradients import dense
from privacy.dp.per_record import cover_of, fused, per_record_gradients
from shared.errors import PrivacyError


@dataclass(frozen=True)
class Setting:
    records: int
    positions: tuple[int, ...]
    width: int
    hidden: int
    rank: int
    trained: Literal["A", "B", "AB"]
    rank_stabilised: bool = False
    dropout: float = 0.0
    dtype: torch.dtype = torch.float64
    seed: int = 0

    def model(self) -> nn.Module:
        torch.manual_seed(self.seed)
        config = LoraConfig(
            r=self.rank,
            lora_alpha=3,
            lora_dropout=self.dropout,
            use_rslora=self.rank_stabilised,
            target_modules=["first", "second"],
            modules_to_save=["head"],
        )
        model = get_peft_model(Stack(self.width, self.hidden), config).to(self.dtype)
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                nn.init.normal_(parameter, std=0.5)
                parameter.requires_grad_(any(f"lora_{factor}" in name for factor in self.trained))
        return model.train()

    def inputs(self) -> torch.Tensor:
        return torch.randn(self.records, *self.positions, self.width, dtype=self.dtype)


def settings_of(**fixed: Any) -> st.SearchStrategy[Setting]:
    choices: dict[str, st.SearchStrategy[Any]] = {
        "records": st.integers(1, 5),
        "positions": st.sampled_from([(), (1,), (3,), (17,), (40,), (2, 9)]),
        "width": st.integers(1, 24),
        "hidden": st.integers(1, 24),
        "rank": st.integers(1, 9),
        "trained": st.sampled_from(["A", "B", "AB"]),
        "rank_stabilised": st.booleans(),
        "seed": st.integers(0, 1000),
    }
    return st.builds(Setting, **{**choices, **{name: st.just(value) for name, value in fixed.items()}})


def clipped_sum(gradients: dict[str, torch.Tensor], bound: float) -> dict[str, torch.Tensor]:
    norms = torch.cat([g.flatten(1) for g in gradients.values()], dim=1).norm(dim=1)
    factors = (bound / norms).clamp(max=1.0)
    return {name: torch.einsum("i,i...->...", factors, g)[None] for name, g in gradients.items()}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_each_records_gradient_is_the_one_it_has_alone(dtype: torch.dtype, data: st.DataObject) -> None:
    setting = data.draw(settings_of(dtype=dtype))
    model, x = setting.model(), setting.inputs()
    assert not cover_of(model).missing
    expected = looped(model, lambda i: losses(model, x[i : i + 1]).sum(), setting.records)
    found = per_record(model, lambda: losses(model, x))
    assert distance(found, expected) < TOLERANCE[dtype]
    for bound in (0.01, 0.3, 100.0):
        assert distance(clipped_sum(found, bound), clipped_sum(expected, bound)) < TOLERANCE[dtype]


@given(setting=settings_of(dropout=0.4))
@settings(max_examples=20, deadline=None)
def test_under_dropout_it_draws_and_uses_the_masks_of_peft(setting: Setting) -> None:
    model, x = setting.model(), setting.inputs().requires_grad_()
    torch.manual_seed(setting.seed)
    own = losses(model, x)
    expected = looped(model, lambda i: own[i], setting.records)
    expected_x = torch.autograd.grad(own.sum(), x, retain_graph=True)[0]
    with per_record_gradients(model):
        torch.manual_seed(setting.seed)
        ours = losses(model, x)
        found_x = torch.autograd.grad(ours.sum(), x)[0]
        found = {name: dense(p.grad_sample) for name, p in trained(model).items()}  # type: ignore[attr-defined]
    torch.testing.assert_close(ours, own, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found_x, expected_x, rtol=1e-10, atol=1e-12)
    assert distance(found, expected) < 1e-12


@given(setting=settings_of(), dropout=st.sampled_from([0.0, 0.3]))
@settings(max_examples=20, deadline=None)
def test_without_privacy_the_gradients_are_pefts(setting: Setting, dropout: float) -> None:
    setting = Setting(**{**vars(setting), "dropout": dropout})
    model, x = setting.model(), setting.inputs()
    torch.manual_seed(setting.seed)
    expected = torch.autograd.grad(losses(model, x).sum(), list(trained(model).values()))
    with fused(model):
        torch.manual_seed(setting.seed)
        found = torch.autograd.grad(losses(model, x).sum(), list(trained(model).values()))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_no_ordinary_gradient_is_computed_beside_the_per_record_ones() -> None:
    model, x = Setting(4, (7,), 6, 5, 2, "AB").model(), torch.randn(4, 7, 6, dtype=torch.float64)
    with per_record_gradients(model):
        losses(model, x).sum().backward()
        assert all(p.grad is None for p in model.parameters())


def test_layers_on_one_input_keep_it_once() -> None:
    model: Any = transformer("decoder")
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


def test_a_batch_of_no_records_gives_gradients_of_no_records() -> None:
    model = Setting(1, (7,), 6, 5, 2, "AB").model()
    found = per_record(model, lambda: losses(model, torch.zeros(0, 7, 6, dtype=torch.float64)))
    assert all(tuple(found[name].shape) == (0, *p.shape) for name, p in trained(model).items())


def test_a_layer_that_is_used_twice_adds_up() -> None:
    model, x = Setting(4, (7,), 6, 6, 2, "AB").model(), torch.randn(4, 7, 6, dtype=torch.float64)

    def twice(rows: torch.Tensor) -> torch.Tensor:
        return losses(model, rows) + losses(model, rows.cos())

    expected = looped(model, lambda i: twice(x[i : i + 1]).sum(), 4)
    assert distance(per_record(model, lambda: twice(x)), expected) < 1e-12


@given(setting=settings_of(dtype=torch.float32))
@settings(max_examples=20, deadline=None)
def test_under_autocast_the_gradients_are_float32_and_near_the_exact_ones(setting: Setting) -> None:
    model, x = setting.model(), setting.inputs()
    expected = looped(model, lambda i: losses(model, x[i : i + 1]).sum(), setting.records)
    with per_record_gradients(model):
        with torch.autocast("cpu", torch.bfloat16):
            total = losses(model, x).sum()
        total.backward()
        found = {name: dense(p.grad_sample) for name, p in trained(model).items()}  # type: ignore[attr-defined]
    assert {g.dtype for g in found.values()} == {torch.float32}
    flat, true = (torch.cat([g.flatten(1) for g in grads.values()], dim=1) for grads in (found, expected))
    assert float((flat - true).norm() / true.norm().clamp(min=1e-3)) < 0.1  # bfloat16 keeps 8 bits


TARGETS = {
    "encoder": (partial(BertModel, add_pooling_layer=False), ENCODER, ["query", "key", "value", "dense"]),
    "decoder": (LlamaModel, DECODER, ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]),
}


def transformer(kind: str) -> Any:
    """Make a random transformer in float64 with every linear layer adapted."""
    torch.manual_seed(3)
    maker, config, targets = TARGETS[kind]
    model: Any = get_peft_model(maker(copy.deepcopy(config)), LoraConfig(r=3, lora_alpha=6, target_modules=targets)).double()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.3)
    return model.train()


@pytest.mark.parametrize("end_to_end", [False, True], ids=["padded", "end to end"])
@pytest.mark.parametrize("checkpointing", ["none", "reentrant", "non-reentrant"])
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_a_batchs_records_have_the_gradients_that_they_have_alone_under_both_kinds_of_checkpointing(
    kind: str, checkpointing: str, end_to_end: bool
) -> None:
    assert from_unpadded(transformer(kind), checkpointing, end_to_end=end_to_end) < 1e-12


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


@pytest.mark.parametrize("trains", ["A", "B", "AB"])
def test_any_frozen_base_layer_will_do(trains: Literal["A", "B", "AB"]) -> None:
    class Other(nn.Linear):
        """Not the layer that is fused, as a quantised one is not."""

    setting = Setting(4, (7,), 6, 5, 2, trains, dropout=0.2)
    model, x = setting.model(), setting.inputs().requires_grad_()
    torch.manual_seed(5)
    own = losses(model, x)
    expected = looped(model, lambda i: own[i], 4)
    expected_x = torch.autograd.grad(own.sum(), x)[0]
    for layer in model.modules():
        if hasattr(layer, "base_layer"):
            layer.base_layer.__class__ = Other
    assert not cover_of(model).missing
    with per_record_gradients(model):
        torch.manual_seed(5)
        found_x = torch.autograd.grad(losses(model, x).sum(), x)[0]
        found = {name: dense(p.grad_sample) for name, p in trained(model).items()}  # type: ignore[attr-defined]
    torch.testing.assert_close(found_x, expected_x, rtol=1e-10, atol=1e-12)
    assert distance(found, expected) < 1e-12
