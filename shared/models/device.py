"""Copy tensors to the device that computes, and refuse more processes than there are GPUs alike."""

import torch

from shared.errors import ConfigError


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a CPU tensor to a device, if it is another one; to a CUDA device asynchronously, through pinned memory."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def refuse_processes(processes: int, device: torch.device) -> None:
    """Refuse to run unless each process has a GPU of its own, all of one model.

    Parameters
    ----------
    processes
        Number of processes over which a site splits its batches.
    device
        Where the site computes.

    Raises
    ------
    ConfigError
        There are too few GPUs, or they differ: rounding would then depend on which of them computes a record.
    """
    if processes == 1 or device.type == "cpu":
        return
    present = torch.cuda.device_count() if device.type == "cuda" else 1
    if processes > present:
        raise ConfigError(
            f"model.processes = {processes}: each process needs a GPU of its own, and this machine has {present}; set "
            f"{present} or less"
        )
    kinds = sorted({torch.cuda.get_device_name(place) for place in range(processes)})
    if len(kinds) > 1:
        raise ConfigError(
            f"model.processes = {processes}: the first GPUs are of different models ({', '.join(kinds)}); set "
            "CUDA_VISIBLE_DEVICES to GPUs of one model, or processes = 1"
        )
