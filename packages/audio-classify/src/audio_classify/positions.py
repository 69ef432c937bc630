"""Position embeddings for another input size than a checkpoint's."""

import torch
from torch import Tensor
from torch.nn import functional as F

Grid = tuple[int, int]


def resize_positions(positions: Tensor, old: Grid, new: Grid, class_tokens: int) -> Tensor:
    """(1, class tokens + rows * columns, dim) of the grid ``old`` for the grid ``new``, both (rows,
    columns).

    Shorter axes keep the middle, longer ones are interpolated linearly. Source: SSAST's fine-tuning
    code, without its fixed sizes.
    """
    heads, patches = positions[:, :class_tokens], positions[:, class_tokens:]
    patches = patches.transpose(1, 2).unflatten(2, old)  # (1, dim, rows, columns)
    for axis, (before, after) in enumerate(zip(old, new, strict=True), start=2):
        if after < before:
            patches = patches.narrow(axis, before // 2 - after // 2, after)
    if tuple(patches.shape[2:]) != tuple(new):
        patches = F.interpolate(patches, new, mode="bilinear", align_corners=False)
    return torch.cat([heads, patches.flatten(2).transpose(1, 2)], dim=1)
