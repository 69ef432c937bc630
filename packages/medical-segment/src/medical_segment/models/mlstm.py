"""The mLSTM cell, stabilised, in two equal forms: parallel (quadratic in the tokens) and chunkwise
(linear).

Beck et al., "xLSTM: Extended Long Short-Term Memory" (arXiv 2405.04517), appendix A: a matrix
memory with exponential input gates. With lf = logsigmoid(f), F its cumulative sum and D_ts = F_t -
F_s + i_s for s <= t,

    h_t = sum_s W_ts v_s / (max(|sum_s W_ts|, exp(-m_t)) + eps),
    W_ts = (q_t . k_s / sqrt(d)) exp(D_ts - m_t),

where m_t is exactly the largest D_ts: another one changes the result where gates are large. All
tensors are (B, heads, S, d), the gates' pre-activations (B, heads, S). Sums are made in float32 at
least.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

EPS = 1e-6
CHUNK = 64
SHORT = 256  # tokens up to which the parallel form is the faster one


def mlstm(q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor) -> Tensor:
    """(B, heads, S, d) for each head and token, by whichever form is the faster."""
    return parallel(q, k, v, i, f) if q.shape[2] <= SHORT else chunkwise(q, k, v, i, f)


def parallel(q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor) -> Tensor:
    """Every token with every earlier one at once."""
    q, k, v, i, f = _exact(q, k, v, i, f)
    gate, largest = _within(F.logsigmoid(f).cumsum(-1), i)
    # transpose, not mT: OpenVINO's reader of traces does not know that.
    weights = (q @ k.transpose(-1, -2)) / math.sqrt(q.shape[-1]) * torch.exp(gate - largest)
    return _normalised(weights @ v, weights.sum(-1, keepdim=True), largest)


def chunkwise(q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor, chunk: int = CHUNK) -> Tensor:
    """Within chunks as above, across them through the matrix memory that each chunk hands to the
    next.

    Only the memory's recursion is sequential, one step a chunk; time and space grow linearly with
    the tokens.
    """
    q, k, v, i, f = _exact(q, k, v, i, f)
    tokens, dim = q.shape[2:]
    missing = -tokens % chunk
    if missing:  # tokens that add nothing and forget nothing
        q, k, v = (F.pad(part, (0, 0, 0, missing)) for part in (q, k, v))
        i, f = F.pad(i, (0, missing), value=-math.inf), F.pad(f, (0, missing), value=math.inf)
    q, k, v = (
        part.unflatten(2, (-1, chunk)) for part in (q, k / math.sqrt(dim), v)
    )  # (B, H, N, L, d)
    i, kept = (
        i.unflatten(2, (-1, chunk)),
        F.logsigmoid(f).unflatten(2, (-1, chunk)).cumsum(-1),
    )  # (B, H, N, L)
    memory, total, level = _memories(k, v, i, kept)

    gate, largest = _within(kept, i)  # (B, H, N, L, L), (B, H, N, L, 1)
    before = (kept + level[..., None])[..., None]
    largest = torch.maximum(largest, before)
    weights = (q @ k.transpose(-1, -2)) * torch.exp(gate - largest)
    # What earlier chunks left, at the same level as what this one adds.
    carried = q * torch.exp(before - largest)
    numerator = weights @ v + carried @ memory
    denominator = weights.sum(-1, keepdim=True) + carried @ total[..., None]
    return _normalised(numerator, denominator, largest).flatten(2, 3)[:, :, :tokens]


def _memories(k: Tensor, v: Tensor, i: Tensor, kept: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What each chunk starts with: memory (B, H, N, d, d), sum of keys (B, H, N, d), and their
    level m (B, H, N)."""
    whole = kept[..., -1]
    gains = whole[..., None] - kept + i  # of each token, at its chunk's end
    peak = gains.amax(-1)
    added_v = (k * torch.exp(gains - peak[..., None])[..., None]).transpose(-1, -2)
    added_k = added_v.sum(-1)
    added_v = added_v @ v
    memory, total = torch.zeros_like(added_v[:, :, 0]), torch.zeros_like(added_k[:, :, 0])
    level = torch.full_like(peak[:, :, 0], -math.inf)
    # At -inf nothing is remembered: exp(level - new) is 0 whatever comes.
    starts = [(memory, total, level)]
    for n in range(k.shape[2] - 1):
        new = torch.maximum(whole[:, :, n] + level, peak[:, :, n])
        old_share, new_share = (
            torch.exp(whole[:, :, n] + level - new),
            torch.exp(peak[:, :, n] - new),
        )
        memory = old_share[..., None, None] * memory + new_share[..., None, None] * added_v[:, :, n]
        total = old_share[..., None] * total + new_share[..., None] * added_k[:, :, n]
        level = new
        starts.append((memory, total, level))
    memories, totals, levels = (torch.stack(parts, dim=2) for parts in zip(*starts, strict=True))
    return memories, totals, levels


def _within(kept: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
    """D (…, L, L) with -inf where a token would look ahead, and its rows' maxima (…, L, 1)."""
    size = kept.shape[-1]
    ahead = torch.ones(size, size, dtype=torch.bool, device=kept.device).triu(1)
    gate = (kept[..., :, None] - kept[..., None, :] + i[..., None, :]).masked_fill(ahead, -math.inf)
    return gate, gate.amax(-1, keepdim=True)


def _normalised(numerator: Tensor, denominator: Tensor, largest: Tensor) -> Tensor:
    return numerator / (torch.maximum(denominator.abs(), torch.exp(-largest)) + EPS)


def _exact(*parts: Tensor) -> tuple[Tensor, ...]:
    return tuple(part.to(torch.promote_types(part.dtype, torch.float32)) for part in parts)
