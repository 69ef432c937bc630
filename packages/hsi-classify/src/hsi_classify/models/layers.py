"""The parts of LoLA-SpecViT: linear layers with a gated adapter, SwiGLU, squeeze and excitation,
and attention within one padded window. Names of parameters are the release's."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class AdaptedLinear(nn.Module):
    """A linear layer and the release's adapter beside it:

        y = linear(x) + s * (sigmoid(gate x) * up(down x) * alpha / r + residual x).

    ``gated`` layers have a gate and a residual, both as large as the layer itself; the head has
    neither. ``scale`` is the paper's s(t): 1 but in training with a cyclical adapter. Rank 0 has no
    adapter at all.
    """

    def __init__(self, inputs: int, outputs: int, rank: int, alpha: float, *, gated: bool = True):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.rank, self.strength, self.gated, self.scale = rank, alpha / max(rank, 1), gated, 1.0
        if rank:
            self.lora_down = nn.Linear(inputs, rank, bias=False)
            self.lora_up = nn.Linear(rank, outputs, bias=False)
        if rank and gated:
            self.lora_gate = nn.Linear(inputs, outputs, bias=False)
            self.lora_residual: nn.Linear | None = nn.Linear(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        if not self.rank:
            return y
        change = self.lora_up(self.lora_down(x)) * self.strength
        if self.gated:
            change = torch.sigmoid(self.lora_gate(x)) * change
            if self.lora_residual is not None:
                change = change + self.lora_residual(x)
        return y + (change if self.scale == 1.0 else self.scale * change)

    def fold(self) -> None:
        """Adds to the linear weight what algebra lets into it: the residual, and without a gate the
        low-rank product too. The same outputs, fewer products; for inference."""
        with torch.no_grad():
            if self.rank and not self.gated:
                product = self.lora_up.weight @ self.lora_down.weight
                self.linear.weight += self.strength * product
                self.rank = 0
                del self.lora_up, self.lora_down
            elif self.rank and self.lora_residual is not None:
                self.linear.weight += self.lora_residual.weight
                self.lora_residual = None


class SwiGLU(nn.Module):
    """w3(silu(w1 x) * w2 x), all of them ``dim`` to ``dim``."""

    def __init__(self, dim: int):
        super().__init__()
        self.w1, self.w2, self.w3 = (nn.Linear(dim, dim) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.w3(F.silu(self.w1(x)) * self.w2(x))

    def fused(self) -> "FusedSwiGLU":
        return FusedSwiGLU(self)


class FusedSwiGLU(nn.Module):
    """The same with w1 and w2 as one matrix."""

    def __init__(self, source: SwiGLU):
        super().__init__()
        dim = source.w1.in_features
        self.w12, self.w3 = nn.Linear(dim, 2 * dim), source.w3
        with torch.no_grad():
            self.w12.weight.copy_(torch.cat([source.w1.weight, source.w2.weight]))
            self.w12.bias.copy_(torch.cat([source.w1.bias, source.w2.bias]))

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.w12(x).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)


class SqueezeExcitation(nn.Module):
    """Channels (B, C, ...) weighed by what their means say (Hu et al. 2018), without biases."""

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        hidden = max(1, channels // reduction)
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden, bias=False),
            nn.ReLU(),
            nn.Linear(hidden, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        weights = self.fc(x.flatten(2).mean(2))
        return x * weights.view(*weights.shape, *[1] * (x.ndim - 2))


class BandDropout(nn.Module):
    """In training, what planes (channel, depth) of (B, C, D, H, W) are multiplied by: 0 for some,
    more than 1 for the others. Their factors (B, C, D), so that who multiplies the planes by other
    numbers too goes through them once."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        factors = x.new_ones(x.shape[:3])
        if not (self.training and self.rate):
            return factors
        keep = 1 - self.rate
        return factors.bernoulli_(keep) / keep


class WindowAttention(nn.Module):
    """Attention over one window of ``window`` x ``window`` tokens, of which the first ``side`` x
    ``side`` are real and the others zeros that nothing masks.

    A zero token has the bias of ``qkv`` as its query, key and value, so all of them together are
    one more key, whose logit is q . k times the scale plus the logarithm of the sum of the
    exponentials of their position biases: the same numbers, and no row is computed for them.
    """

    relative_position_index: Tensor
    real_index: Tensor
    padded_index: Tensor

    def __init__(self, dim: int, heads: int, side: int, window: int, rank: int, alpha: float):
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.qkv = AdaptedLinear(dim, 3 * dim, rank, alpha)
        self.proj = AdaptedLinear(dim, dim, rank, alpha)
        table = torch.zeros((2 * window - 1) ** 2, heads)
        self.relative_position_bias_table = nn.Parameter(table)
        index = torch.tensor(_relative_positions(window))
        self.register_buffer("relative_position_index", index)
        places = list(itertools.product(range(window), range(window)))
        real = [n for n, (row, column) in enumerate(places) if row < side and column < side]
        padded = [n for n in range(len(places)) if n not in set(real)]
        among = index[real]
        self.register_buffer("real_index", among[:, real].clone(), persistent=False)
        self.register_buffer("padded_index", among[:, padded].clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, dim) -> the same, N = side * side."""
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (B, heads, N, d)
        q = q * self.scale
        logits = q @ k.transpose(-1, -2) + self._bias(self.real_index)
        if self.padded_index.shape[1] == 0:
            mixed = logits.softmax(-1) @ v
        else:
            _, key, value = self.qkv.linear.bias.view(3, 1, self.heads, 1, -1).unbind(0)
            at_padding = (q * key).sum(-1, keepdim=True)
            at_padding = at_padding + self._bias(self.padded_index).logsumexp(-1, keepdim=True)
            weights = torch.cat([logits, at_padding], dim=-1).softmax(-1)
            mixed = weights[..., :-1] @ v + weights[..., -1:] * value
        return self.proj(mixed.transpose(1, 2).reshape(batch, tokens, dim))

    def _bias(self, index: Tensor) -> Tensor:
        """(heads, N, keys) of the table's entries at ``index`` (N, keys)."""
        return self.relative_position_bias_table[index].permute(2, 0, 1)


def _relative_positions(window: int) -> list[list[int]]:
    """For each pair of places the row of the table that belongs to their distance."""
    places = list(itertools.product(range(window), range(window)))
    shift, width = window - 1, 2 * window - 1
    return [[(a - c + shift) * width + b - d + shift for c, d in places] for a, b in places]
