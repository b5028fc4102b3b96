"""A model on records end to end says what it says on the padded batch, and no record sees another."""

import copy
from contextlib import nullcontext
from functools import cache
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from fixture_types import Change, LearnerOf, RecordsOf
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from record_by_record import DECODER, ENCODER
from transformers import BertModel, LlamaModel

from client.exactness import self_check
from shared.adapters.families import packable
from shared.config.run import RunConfig
from shared.errors import PrivacyError
from shared.models import packing
from shared.models.batch_layout import ATTRIBUTE, Layout
from shared.models.packing import packed, packs

CPU, GPU = torch.device("cpu"), torch.device("cuda")
LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=6)
KINDS = {"encoder": (BertModel, ENCODER), "decoder": (LlamaModel, DECODER)}
both_kinds = pytest.mark.parametrize("kind", KINDS)


def network_of(kind: str, dtype: torch.dtype = torch.float64, **changes: Any) -> Any:
    """Make a random transformer; in float64 with sdpa, because the eager attention of a decoder is in float32."""
    maker, config = KINDS[kind]
    config = copy.deepcopy(config)
    for name, value in changes.items():
        setattr(config, name, value)
    torch.manual_seed(5)
    network: Any = maker(config).to(dtype).eval()
    network.set_attn_implementation("sdpa" if dtype is torch.float64 else "eager")
    return network


@cache
def shared_network_of(kind: str) -> Any:
    """Return the network of a kind that all examples of a test compute with, and none of them changes."""
    return network_of(kind)


def batch_of(lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.tensor([[1] * length + [0] * (max(lengths) - length) for length in lengths])
    return torch.randint(0, 50, mask.shape, generator=torch.Generator().manual_seed(5)) * mask, mask


def states(network: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the model's output at each real token, 0 elsewhere, (n, t, d)."""
    with torch.no_grad():
        found: torch.Tensor = network(input_ids=ids, attention_mask=mask).last_hidden_state
    return found * mask[..., None]


@pytest.mark.parametrize("in_single_operations", [False, True], ids=["a kernel", "single operations"])
@both_kinds
@given(lengths=LENGTHS)
@settings(max_examples=20, deadline=None)
def test_the_states_are_those_of_the_padded_batch(kind: str, in_single_operations: bool, lengths: list[int]) -> None:
    network, (ids, mask) = shared_network_of(kind), batch_of(lengths)
    expected = states(network, ids, mask)
    # What 16 bits are computed with, here in 64; a softmax in float32 is as near as 1e-6.
    written_out = mock.patch.object(packing, "HALF", (torch.float64,)) if in_single_operations else nullcontext()
    with written_out, packed(network, lengths):
        raw = network(input_ids=ids, attention_mask=mask).last_hidden_state
    near = 1e-5 if in_single_operations else 1e-12
    torch.testing.assert_close(raw.detach(), expected, rtol=0, atol=near)  # 0 at the padding, too


@both_kinds
def test_no_record_sees_another(kind: str) -> None:
    network, lengths = network_of(kind), [7, 7, 3, 12]
    ids, mask = batch_of(lengths)
    with packed(network, lengths):
        before = states(network, ids, mask)
        ids[1] = (ids[1] + 1) % 50
        after = states(network, ids, mask)
    assert torch.equal(before[[0, 2, 3]], after[[0, 2, 3]])
    assert not torch.equal(before[1], after[1])


@both_kinds
def test_in_16_bits_on_a_cpu_it_is_within_rounding(kind: str) -> None:
    network, lengths = network_of(kind, torch.bfloat16), [9, 4, 4, 1]
    ids, mask = batch_of(lengths)
    exact = states(network_of(kind, torch.float32), ids, mask)
    with packed(network, lengths):
        found = states(network, ids, mask)
    rounding = float((states(network, ids, mask) - exact).norm())  # of the model as it came
    assert float((found - exact).norm()) < 1.5 * rounding


def test_a_row_may_be_longer_than_the_longest_text() -> None:
    lengths = [12] * 9
    network, (ids, mask) = network_of("encoder", max_position_embeddings=12), batch_of(lengths)
    with packed(network, lengths):
        found = states(network, ids, mask)
    torch.testing.assert_close(found, states(network, ids, mask), rtol=0, atol=1e-12)


def reference(  # the kernel's documented rules, by a loop; see torch.nn.attention.varlen
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    starts_q: torch.Tensor,
    starts_k: torch.Tensor,
    longest_q: int,
    longest_k: int,
    *,
    scale: float,
    window_size: tuple[int, int],
    enable_gqa: bool,
) -> torch.Tensor:
    assert starts_q.dtype == starts_k.dtype == torch.int32
    assert torch.equal(starts_q, starts_k)
    assert int(starts_q.diff().max()) == longest_q == longest_k
    assert window_size in ((-1, -1), (-1, 0))
    assert enable_gqa or q.shape[1] == k.shape[1]
    parts = []
    for start, end in pairwise(starts_q.tolist()):
        sides = [side[start:end].transpose(0, 1) for side in (q, k, v)]  # (heads, t, d)
        attended = F.scaled_dot_product_attention(
            *sides, scale=scale, is_causal=window_size == (-1, 0), enable_gqa=enable_gqa
        )
        parts.append(attended.transpose(0, 1))
    return torch.cat(parts)


@both_kinds
@given(lengths=LENGTHS)
@settings(max_examples=10, deadline=None)
def test_a_gpus_kernel_is_told_what_the_loop_over_lengths_does(kind: str, lengths: list[int]) -> None:
    network, (ids, mask) = shared_network_of(kind), batch_of(lengths)
    expected = states(network, ids, mask)

    def on_a_gpu(module: Any, *sides: torch.Tensor, scaling: float, **_: Any) -> tuple[torch.Tensor, None]:
        rows = [side[0].transpose(0, 1) for side in sides[:3]]
        layout = vars(module)[ATTRIBUTE]
        return packing._gpu_attention(*rows, layout, scaling, module.is_causal)[None], None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "varlen_attn", reference)
        patch.setattr(packing, "_attention", on_a_gpu)
        with packed(network, lengths):
            found = states(network, ids, mask)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@both_kinds
def test_afterwards_the_model_is_as_it_was_even_after_a_failure(kind: str) -> None:
    network, lengths = network_of(kind), [5, 2]
    ids, mask = batch_of(lengths)
    before = states(network, ids, mask)
    with pytest.raises(KeyError), packed(network, lengths):
        raise KeyError
    assert torch.equal(states(network, ids, mask), before)
    assert not any(ATTRIBUTE in vars(module) for module in network.modules())
    assert not network._forward_hooks
    assert not network._forward_pre_hooks


@pytest.mark.parametrize(
    ("kind", "changes", "device", "dtype", "expected"),
    [
        ("encoder", {}, CPU, torch.float32, True),
        ("decoder", {}, CPU, torch.bfloat16, True),
        ("decoder", {}, GPU, torch.bfloat16, True),
        ("decoder", {}, GPU, torch.float32, False),  # the kernel takes 16 bits alone
        ("decoder", {}, torch.device("mps"), torch.bfloat16, False),
        ("decoder", {"model_type": "gemma2"}, CPU, torch.float32, False),  # whose attention caps its scores
    ],
)
def test_what_packs(kind: str, changes: dict[str, str], device: torch.device, dtype: torch.dtype, expected: bool) -> None:
    network = network_of(kind).requires_grad_(False)
    for name, value in changes.items():
        setattr(network.config, name, value)
    assert packs(network, device, dtype, packable) is expected


ADAPTED: dict[str, tuple[dict[str, Any], bool]] = {
    "LoRA": ({}, True),
    "a trained normalisation": ({"modules_to_save": ["LayerNorm"]}, False),  # falls back on hooks, which know rows alone
    "DoRA": ({"use_dora": True}, False),
    "a bias on factor B": ({"lora_bias": True}, False),
    "an embedding's adapter": ({"target_modules": ["word_embeddings"]}, False),
}


@pytest.mark.parametrize(("choices", "expected"), ADAPTED.values(), ids=ADAPTED.keys())
def test_what_is_trained_decides_too(choices: dict[str, Any], expected: bool) -> None:
    network = network_of("encoder")
    get_peft_model(network, LoraConfig(**{"r": 2, "target_modules": ["query"], **choices}))
    assert packs(network, CPU, torch.float32, packable) is expected


def leaking(only: torch.dtype | None = None) -> Any:
    """Return an attention that takes all of a row as one record, in one dtype or in all."""
    true = packing._attention

    def attention(module: Any, *sides: torch.Tensor, **rest: Any) -> tuple[torch.Tensor, None]:
        one = SimpleNamespace(is_causal=module.is_causal, **{ATTRIBUTE: Layout(((1, sides[0].shape[2]),))})
        return true(module if only not in (None, sides[0].dtype) else one, *sides, **rest)

    return attention


def shifted(only: torch.dtype) -> Any:
    """Return an attention in which each record is by itself, but wrong: its values are those of the position before."""
    true = packing._attention

    def attention(module: Any, query: Any, key: Any, value: Any, *rest: Any, **more: Any) -> tuple[torch.Tensor, None]:
        layout = vars(module)[ATTRIBUTE]
        parts = zip(torch.arange(value.shape[2]).split(layout.sizes), layout.runs, strict=True)
        turned = torch.cat([part.view(run).roll(1, 1).flatten() for part, run in parts])
        return true(module, query, key, value[:, :, turned] if value.dtype is only else value, *rest, **more)

    return attention


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_where_computing_without_padding_is_not_exact_batches_are_padded(
    either: RunConfig, change: Change, learner_of: LearnerOf, records_of: RecordsOf, dtype: str
) -> None:
    learner = learner_of(change(either, {"model.dtype": dtype}))
    examples = learner.task.encode(records_of(either, 9))
    assert self_check(learner, examples, 4) is learner
    broken = {
        "leaks in float32 too": leaking(),
        "leaks in 16 bits": leaking(torch.bfloat16),
        "is wrong in 16 bits": shifted(torch.bfloat16),
    }
    for name, kernel in broken.items():
        with mock.patch.object(packing, "_attention", kernel):
            checked = self_check(learner, examples, 4)
        used = "too" not in name and dtype == "float32"  # the kernel is sound in the dtype that trains
        assert checked.packs is used, name
        assert (checked is learner) is used, name


def test_a_kernel_that_fails_is_not_used_and_one_that_fails_with_padding_too_is_refused(
    either: RunConfig, learner_of: LearnerOf, records_of: RecordsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = learner_of(either)
    examples = learner.task.encode(records_of(either, 9))

    def failing(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no kernel image; the record was: ...")

    monkeypatch.setattr(packing, "_attention", failing)
    checked = self_check(learner, examples, 4)
    assert not checked.packs
    monkeypatch.setattr(type(learner.task), "training_losses", failing)
    with pytest.raises(
        PrivacyError, match=r"gives no per-record gradients \(RuntimeError\), so nothing is trained"
    ) as caught:
        self_check(checked, examples, 4)
    assert "record was" not in str(caught.value)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("positions", [packing.LONG - 1, packing.LONG + 17])
def test_both_ways_to_attention_in_16_bits_are_near_attention_in_float32(positions: int, causal: bool) -> None:
    torch.manual_seed(0)
    q = torch.randn(2, 4, positions, 16, dtype=torch.bfloat16)
    k, v = (torch.randn(2, 2, positions, 16, dtype=torch.bfloat16) for _ in range(2))  # two heads share a key
    wide = q.float(), k.float(), v.float()
    exact = F.scaled_dot_product_attention(*wide, scale=0.25, is_causal=causal, enable_gqa=True)
    for way in (packing.eager_attention, packing.fused_attention):
        found = way(q, k, v, scaling=0.25, causal=causal)
        assert found.dtype is torch.bfloat16
        assert float((found.float() - exact).norm() / exact.norm()) < 0.01
