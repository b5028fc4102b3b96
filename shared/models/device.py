"""Numbers on their way to a device, which nothing waits for."""

import torch


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A CPU's tensor on a device; a GPU fetches it from pinned memory, in its turn, while the host goes on."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
