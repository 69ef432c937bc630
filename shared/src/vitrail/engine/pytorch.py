"""PyTorch's own ways to run a network: arrays in, arrays out. Importing this module imports
torch."""

import numpy as np
import torch
from torch import Tensor, nn

from vitrail.engine.output import Arrays, Output, Run, quiet


class Eager:
    """A module on a device; on CPUs with channels last where it can run so."""

    def __init__(self, module: nn.Module, sample: Arrays, device: str):
        self.module, self.device = module.to(device), device
        if device == "cpu":
            _lay_out(self.module, self.tensors(tuple(part[:1] for part in sample)))

    def tensors(self, batch: Arrays) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(np.ascontiguousarray(part)).to(self.device) for part in batch)

    @torch.no_grad()
    def __call__(self, *batch: np.ndarray) -> Output:
        return arrays(self.module(*self.tensors(batch)))

    def bfloat16(self) -> Run:
        """The same under autocast."""

        @torch.no_grad()
        def run(*batch: np.ndarray) -> Output:
            with torch.autocast(self.device, torch.bfloat16):
                return arrays(self.module(*self.tensors(batch)))

        return run

    def compiled(self, sample: Arrays) -> Run:
        """By ``torch.compile``; compiles here, so that what cannot be compiled fails here."""
        module = torch.compile(self.module)
        with quiet(), torch.no_grad():
            module(*self.tensors(sample))

        @torch.no_grad()
        def run(*batch: np.ndarray) -> Output:
            return arrays(module(*self.tensors(batch)))

        return run


def arrays(output: Tensor | tuple[Tensor, ...]) -> Output:
    """On the CPU, floating-point numbers as float32."""
    if isinstance(output, Tensor):
        return _array(output)
    return tuple(_array(part) for part in output)


def _array(tensor: Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


@torch.no_grad()
def _lay_out(module: nn.Module, sample: tuple[Tensor, ...]) -> None:
    """Channels last makes convolutions on CPUs up to 1.9 times as fast, where the network
    allows."""
    convolves = any(isinstance(part, nn.Conv2d) for part in module.modules())
    if not convolves or any(part.ndim != 4 for part in sample):
        return
    try:
        module.to(memory_format=torch.channels_last)
        module(*sample)
    except RuntimeError:  # a parameter with five axes, or a view that needs channels first
        module.to(memory_format=torch.contiguous_format)
