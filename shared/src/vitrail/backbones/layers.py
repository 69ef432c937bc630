"""Layers that the networks share. Parameter names are timm's, so that its checkpoints load."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DropPath(nn.Module):
    """Stochastic depth: in training, leaves out a residual branch of single samples with
    probability ``rate`` and scales up those it keeps (Huang et al., "Deep Networks with Stochastic
    Depth", 2016)."""

    def __init__(self, rate: float = 0.0):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and self.rate):
            return x
        keep = 1 - self.rate
        mask = x.new_empty(len(x), *[1] * (x.ndim - 1)).bernoulli_(keep)
        return x * (mask / keep if keep else mask)

    def extra_repr(self) -> str:
        return f"{self.rate:g}"


class Mlp(nn.Module):
    """Two linear layers over the last axis, of ``hidden`` channels between them."""

    def __init__(self, dim: int, hidden: int, activation: type[nn.Module] = nn.GELU):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = activation()
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of a map (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        normed = F.layer_norm(
            x.movedim(1, -1), self.normalized_shape, self.weight, self.bias, self.eps
        )
        return normed.movedim(-1, 1)


def drop_path_rates(largest: float, depth: int) -> list[float]:
    """The rate of each of ``depth`` blocks, rising linearly from 0 to ``largest``."""
    return torch.linspace(0, largest, depth, device="cpu").tolist()


def init_linear(module: nn.Module, std: float = 0.02) -> None:
    """Truncated normal weights and zero biases, as transformers start; other modules are left."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
