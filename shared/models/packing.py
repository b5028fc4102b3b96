"""Compute a padded batch without its padding, by laying the records end to end in one row.

All parts of a transformer except attention work on each position by itself, so a batch (n, t) can be computed as one row (1,
T) of its T real tokens. Attention runs on groups of records with equal length, which need no mask; on a GPU it runs on all
records at once, by a kernel that gets the start of each record.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface

from shared.models.batch_layout import ATTRIBUTE, Layout, Place

KINDS = ("bert", "llama")  # model types with plain attention: no windows, no position biases, no capped scores
# Positions from which a CPU computes 16-bit attention faster by single operations than by torch's kernel for float32 with a
# conversion before and after. Records of one length are few, so below this the starts of many operations cost more.
LONG = 64
NAME = "hushtune-packed"  # name of the attention below in the registry of transformers
HALF = (torch.bfloat16, torch.float16)


def packs(network: Any, device: torch.device, dtype: torch.dtype, packable: Callable[[str], bool]) -> bool:
    """Return whether a model can compute records end to end.

    Its type must be in ``KINDS``, and ``packable`` must hold for the name of every trained tensor. On a GPU the model must
    also compute in 16 bits, which the kernel requires.

    Parameters
    ----------
    network
        The transformer, with its adapter.
    device, dtype
        Where and in which dtype it computes.
    packable
        Whether per-record gradients of the tensor with this name can be computed for packed records.
    """
    known = network.config.model_type in KINDS
    trained = all(packable(name) for name, parameter in network.named_parameters() if parameter.requires_grad)
    return known and trained and (device.type == "cpu" or (device.type == "cuda" and dtype in HALF))


@contextmanager
def packed(network: Any, lengths: Sequence[int]) -> Iterator[None]:
    """Compute the next padded batches without padding, forward and backward, until the block ends.

    Inside the block the model takes ids (n, t), padded on the right, and returns states (n, t, d) as usual, with 0 at the
    padding. At the end its attention and hooks are restored.

    Parameters
    ----------
    network
        Model with an adapter for which ``packs`` is true.
    lengths
        Tokens of each record of the batch.
    """
    layout = Layout.by_length(lengths, network.device)
    place = layout.place
    assert place is not None  # noqa: S101  by_length sets it
    AttentionInterface.register(NAME, _attention)
    attention = network.config._attn_implementation
    hooks = (
        network.register_forward_pre_hook(partial(_pack, place), with_kwargs=True),
        network.register_forward_hook(partial(_unpack, place)),
    )
    try:
        network.config._attn_implementation = NAME
        for module in network.modules():
            vars(module)[ATTRIBUTE] = layout
        yield
    finally:
        network.config._attn_implementation = attention
        for module in network.modules():
            vars(module).pop(ATTRIBUTE, None)
        for hook in hooks:
            hook.remove()


def place_in(network: nn.Module) -> Place | None:
    """Return the index tensors of the batch that a model computes end to end now; None outside of ``packed``."""
    layout: Layout | None = vars(network).get(ATTRIBUTE)
    return None if layout is None else layout.place


def _pack(place: Place, network: Any, _: tuple[Any, ...], given: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Replace the inputs of the model by one row (1, T); positions of each record count from 0."""
    ids = place.pack(given["input_ids"])[None]  # (1, T)
    row = {"input_ids": ids, "attention_mask": None, "position_ids": (place.positions % place.width)[None]}
    if network.config.model_type == "bert":
        row["token_type_ids"] = torch.zeros_like(ids)  # BERT's own zeros end at its longest text, and T may be larger
    return (), {**given, **row}


def _unpack(place: Place, _: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
    """Turn the output of the model back into a padded batch."""
    output["last_hidden_state"] = place.unpack(output["last_hidden_state"][0])
    return output


def _attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, _: None, scaling: float, **__: Any
) -> tuple[torch.Tensor, None]:
    """Compute attention within each record, by the interface of transformers.

    Query is (1, heads, T, d); key and value are (1, groups, T, d); the result is (1, T, heads, d). There is no dropout,
    because the base model's own dropout is off.
    """
    layout: Layout = vars(module)[ATTRIBUTE]
    q, k, v = (side[0].transpose(0, 1) for side in (query, key, value))  # (T, heads, d)
    if query.is_cuda and query.dtype in HALF:
        return _gpu_attention(q, k, v, layout, scaling, module.is_causal)[None], None
    sides = zip(layout.runs, *(torch.split(side, layout.sizes) for side in (q, k, v)), strict=True)
    parts = [_group_attention(*each, scaling=scaling, causal=module.is_causal) for each in sides]
    return torch.cat(parts)[None], None


def _gpu_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, layout: Layout, scaling: float, causal: bool
) -> torch.Tensor:
    """Compute attention of all records with a GPU kernel; the result is (T, heads, d)."""
    place = layout.place
    assert place is not None  # noqa: S101  packed() sets it
    ends, longest = (place.starts, place.starts), (place.width, place.width)
    window, grouped = (-1, 0 if causal else -1), q.shape[1] != k.shape[1]
    out = varlen_attn(q, k, v, *ends, *longest, scale=scaling, window_size=window, enable_gqa=grouped)
    assert isinstance(out, torch.Tensor)  # noqa: S101  it returns a tuple only on request
    return out


def _group_attention(
    run: tuple[int, int], q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, scaling: float, causal: bool
) -> torch.Tensor:
    """Compute attention of n records of t positions each; input and result are (n t, heads, d)."""
    q, k, v = (torch.unflatten(rows, 0, run).transpose(1, 2) for rows in (q, k, v))  # (n, heads, t, d)
    if q.dtype in HALF and run[1] >= LONG:
        out = eager_attention(q, k, v, scaling=scaling, causal=causal)
    else:
        out = fused_attention(q, k, v, scaling=scaling, causal=causal)
    return out.transpose(1, 2).flatten(0, 1)


def fused_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, scaling: float, causal: bool) -> torch.Tensor:
    """Compute attention by torch's fused kernel; 16 bits in float32, because its backward pass is slow in 16 bits."""
    dtype, grouped = q.dtype, q.shape[1] != k.shape[1]
    if dtype in HALF:
        q, k, v = q.float(), k.float(), v.float()
    out = F.scaled_dot_product_attention(q, k, v, scale=scaling, is_causal=causal, enable_gqa=grouped)
    return out.to(dtype)


def eager_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, scaling: float, causal: bool) -> torch.Tensor:
    """Compute the same attention by single operations; heads that share a key are multiplied with it in one product.

    Torch computes the softmax in float32 and rounds it once. Which of both ways is used depends on the length of the records
    alone, so no record changes how another one is rounded.
    """
    positions, groups = q.shape[2], k.shape[1]
    q = torch.unflatten(q * scaling, 1, (groups, -1)).flatten(2, 3)  # (n, groups, heads / groups t, d)
    scores = torch.unflatten(q @ k.transpose(2, 3), 2, (-1, positions))  # (n, groups, heads / groups, t, t)
    if causal:
        later = torch.ones(positions, positions, dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(later, float("-inf"))
    shares = scores.softmax(dim=4).flatten(2, 3)
    return torch.unflatten(shares @ v, 2, (-1, positions)).flatten(1, 2)  # (n, heads, t, d)
