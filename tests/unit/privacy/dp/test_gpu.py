"""A whole private step on a GPU: as exact as on the CPU, and never waited for. Runs where there is one."""

import pytest
import torch
from torch import nn

from privacy.dp.engine import make_private
from privacy.dp.gradients import dense
from privacy.dp.per_record import per_record_gradients
from privacy.dp.plan import PrivacyPlan

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
PLAN = PrivacyPlan(0.1, 1.3, 0.5, 4, 2, 1e-4, 170)


def adapted() -> nn.Module:
    from peft import LoraConfig, get_peft_model

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
