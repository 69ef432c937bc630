"""GLFB, the global-local feature blender: how much of each branch a token takes."""

import torch
from torch import Tensor, nn


class Blender(nn.Module):
    """``a G + b R`` with ``[a, b] = softmax(Linear([G; R]))``, for each token or for each of its
    channels; equal shares at the start."""

    def __init__(self, dim: int, gate: str):
        super().__init__()
        self.wide = gate == "channel"
        self.linear = nn.Linear(2 * dim, 2 * dim if self.wide else 2)
        nn.init.zeros_(self.linear.weight)
        nn.init.constant_(self.linear.bias, 0.5)

    def gates(self, transformer: Tensor, graph: Tensor) -> Tensor:
        """(2, B, N, C or 1, h, w), which sum to 1, from (B, N, C, h, w)."""
        both = torch.cat((transformer, graph), 2).permute(0, 1, 3, 4, 2)
        shares = self.linear(both).permute(0, 1, 4, 2, 3)
        return torch.stack(shares.chunk(2, 2)).softmax(0)

    def forward(self, transformer: Tensor, graph: Tensor) -> Tensor:
        first, second = self.gates(transformer, graph)
        return first * transformer + second * graph
