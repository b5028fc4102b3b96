"""A whole private step on a GPU: as exact as on the CPU, and never waited for. Runs where there is one."""

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from record_by_record import DECODER, token_losses
from torch import nn
from transformers import LlamaModel

from privacy.dp.engine import make_private
from privacy.dp.gradients import dense
from privacy.dp.per_record import per_record_gradients
from privacy.dp.plan import PrivacyPlan
from shared.models.packing import packed

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
PLAN = PrivacyPlan(0.1, 1.3, 0.5, 4, 2, 1e-4, 170)


def adapted() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(24, 40), nn.Tanh(), nn.Linear(40, 12))
    tuned: nn.Module = get_peft_model(model, LoraConfig(r=3, target_modules=["0", "2"]))  # type: ignore[arg-type]
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.3)
    return tuned.train()


def test_per_record_gradients_are_those_of_the_cpu() -> None:
    inputs, found = torch.randn(5, 7, 24), {}
    for device in ("cpu", "cuda"):
        model = adapted().to(device)
        with per_record_gradients(model):
            model(inputs.to(device)).square().sum().backward()
            found[device] = torch.cat(
                [dense(p.grad_sample).flatten(1).cpu() for p in model.parameters() if p.requires_grad],  # type: ignore[attr-defined]
                dim=1,
            )
    torch.testing.assert_close(found["cuda"], found["cpu"], rtol=1e-3, atol=1e-4)


def test_the_host_never_waits_for_the_gpu_within_a_step() -> None:
    model, inputs = adapted().cuda(), torch.randn(5, 7, 24, device="cuda")
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], fused=True)
    with make_private(model, optimizer, PLAN, PLAN.expected_batch) as (lent, step):
        for debug in ("default", "error"):  # the first step makes what is made once
            torch.cuda.set_sync_debug_mode(debug)
            try:
                for _ in range(2):
                    lent(inputs).square().sum().backward()
                    step.accumulate()
                step.finish()
            finally:
                torch.cuda.set_sync_debug_mode("default")


LENGTHS = [9, 5, 5, 2]


def transformer(dtype: torch.dtype) -> Any:
    torch.manual_seed(1)
    model: Any = get_peft_model(LlamaModel(DECODER), LoraConfig(r=3, target_modules=["q_proj", "v_proj"]))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.3)
    return model.to(dtype).train()


def end_to_end(model: Any, device: str) -> torch.Tensor:
    """Gradients by record of a batch that is computed without its padding, (n, numbers)."""
    model, mask = model.to(device), torch.arange(9) < torch.tensor(LENGTHS)[:, None]
    ids = (torch.arange(36).view(4, 9) * mask).to(device)
    with per_record_gradients(model), packed(model.get_base_model(), LENGTHS):
        token_losses(model, ids, mask.long().to(device)).sum().backward()
        found = [dense(p.grad_sample).flatten(1).float().cpu() for p in model.parameters() if p.requires_grad]
        return torch.cat(found, dim=1)


def test_records_end_to_end_have_the_gradients_of_the_cpu() -> None:
    expected, found = (end_to_end(transformer(torch.float32), device) for device in ("cpu", "cuda"))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_in_16_bits_its_kernel_is_within_rounding() -> None:
    exact, ours = end_to_end(transformer(torch.float32), "cpu"), end_to_end(transformer(torch.bfloat16), "cpu")
    rounding = float((ours - exact).norm())
    assert float((end_to_end(transformer(torch.bfloat16), "cuda") - exact).norm()) < 2 * rounding


def test_the_host_never_waits_for_records_end_to_end() -> None:
    model, mask = transformer(torch.bfloat16).cuda(), (torch.arange(9) < torch.tensor(LENGTHS)[:, None]).cuda()
    ids = torch.arange(36, device="cuda").view(4, 9) * mask
    with per_record_gradients(model):
        for debug in ("default", "error"):  # the first step makes what is made once
            torch.cuda.set_sync_debug_mode(debug)
            try:
                with packed(model.get_base_model(), LENGTHS):
                    token_losses(model, ids, mask.long()).sum().backward()
            finally:
                torch.cuda.set_sync_debug_mode("default")
            for parameter in model.parameters():
                vars(parameter).pop("grad_sample", None)
