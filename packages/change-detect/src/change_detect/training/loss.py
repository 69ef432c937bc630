"""What is learned from: every pixel, and the overlap of the whole batch."""

from torch import Tensor
from torch.nn import functional as F

SMOOTH = 1e-5


def bce_dice(logits: Tensor, target: Tensor) -> Tensor:
    """Mean binary cross-entropy plus one less the Dice coefficient of the batch; both
    (B, 1, H, W)."""
    probability = logits.sigmoid()
    overlap = 2 * (probability * target).sum() + SMOOTH
    dice = overlap / (probability.sum() + target.sum() + SMOOTH)
    return F.binary_cross_entropy_with_logits(logits, target) + 1 - dice
