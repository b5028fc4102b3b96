"""Copy tensors to the device that computes."""

import torch


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a CPU tensor to a device; to a CUDA device asynchronously, through pinned memory.

    Parameters
    ----------
    tensor : torch.Tensor
        Values in the memory of the CPU.
    device : torch.device
        Where the model computes.

    Returns
    -------
    torch.Tensor
        The copy, or the tensor itself if it is there already.
    """
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
