"""The loss without kept logits is torch's own, and so is its gradient, whatever weights the rows have."""

import weakref

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.tasks import likelihood
from shared.tasks.likelihood import token_losses


@given(rows=st.integers(0, 20), hidden=st.integers(1, 9), vocabulary=st.integers(2, 30), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_losses_and_gradients_are_those_of_cross_entropy(rows: int, hidden: int, vocabulary: int, seed: int) -> None:
    torch.manual_seed(seed)
    states, weight = torch.randn(rows, hidden, requires_grad=True), torch.randn(vocabulary, hidden)
    targets, weights = torch.randint(0, vocabulary, (rows,)), torch.rand(rows)
    expected = F.cross_entropy(states @ weight.t(), targets, reduction="none")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(likelihood, "ROWS", 7)  # several parts
        found = token_losses(states, lambda part: part @ weight.t(), targets)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    one, other = (torch.autograd.grad((weights * losses).sum(), states)[0] for losses in (found, expected))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_in_bfloat16_the_losses_are_float32_and_the_gradient_is_that_of_the_states() -> None:
    torch.manual_seed(0)
    states, weight = torch.randn(9, 8).bfloat16().requires_grad_(), torch.randn(30, 8).bfloat16()
    targets = torch.randint(0, 30, (9,))
    expected = F.cross_entropy(F.linear(states, weight).float(), targets, reduction="none")
    found = token_losses(states, lambda part: F.linear(part, weight), targets)
    assert found.dtype is torch.float32
    torch.testing.assert_close(found, expected)
    one, other = (torch.autograd.grad(losses.sum(), states)[0] for losses in (found, expected))
    assert one.dtype is torch.bfloat16
    torch.testing.assert_close(one.float(), other.float(), rtol=0.05, atol=0.05)


def test_nothing_as_large_as_the_logits_is_kept_for_the_backward_pass() -> None:
    states, weight = torch.randn(600, 4, requires_grad=True), torch.randn(5000, 4)
    kept: list[weakref.ref[torch.Tensor]] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(weakref.ref(tensor))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = token_losses(states, lambda part: part @ weight.t(), torch.zeros(600, dtype=torch.int64))
    alive = [tensor for reference in kept if (tensor := reference()) is not None]
    assert losses.requires_grad
    assert [tensor.numel() for tensor in alive if tensor.numel() > len(states)] == [states.numel()]


def test_without_a_gradient_none_is_made() -> None:
    with torch.no_grad():
        losses = token_losses(torch.randn(3, 4), lambda part: part[:, :3], torch.tensor([0, 1, 2]))
    assert losses.shape == (3,)
    assert not losses.requires_grad
