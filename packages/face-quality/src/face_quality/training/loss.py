"""The margin softmax over people, and the certainty ratio that it gives for free."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-9
BETA = 0.5  # of the smooth L1 loss of the quality


class MarginSoftmax(nn.Module):
    """Cross-entropy over the cosines to all class centres, with a margin for the right one:
    ``cosface`` lowers its cosine by the margin, ``arcface`` widens its angle.

    The arcface margin is straight-through, as in the release: gradients are those of the cosines.
    """

    def __init__(
        self,
        classes: int,
        features: int,
        *,
        kind: str = "cosface",
        margin: float = 0.4,
        scale: float = 64.0,
    ):
        super().__init__()
        self.kind, self.margin, self.scale = kind, margin, scale
        self.weight = nn.Parameter(torch.randn(classes, features) * 0.01)

    def forward(self, embedding: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and the cosines (B, classes) before the margin, detached."""
        cosines = F.linear(F.normalize(embedding), F.normalize(self.weight)).clamp(-1, 1)
        logits = self.scale * self.with_margin(cosines, labels)
        return F.cross_entropy(logits, labels), cosines.detach()

    def with_margin(self, cosines: Tensor, labels: Tensor) -> Tensor:
        hit = F.one_hot(labels, cosines.shape[1]).bool()
        if self.kind == "cosface":
            return cosines - self.margin * hit
        with torch.no_grad():
            wide = torch.where(hit, (cosines.acos() + self.margin).cos(), cosines)
        return cosines + (wide - cosines).detach()


def certainty_ratio(cosines: Tensor, labels: Tensor) -> Tensor:
    """(B, 1): the cosine to the own centre over one plus that to the nearest other, among all
    classes (CR-FIQA; ViT-FIQA section 3)."""
    own = cosines.gather(1, labels[:, None])
    others = cosines.scatter(1, labels[:, None], -torch.inf).amax(1, keepdim=True)
    return own / (others + 1 + EPSILON)


def quality_loss(quality: Tensor, target: Tensor) -> Tensor:
    """Smooth L1 of qualities and targets (B, 1)."""
    return F.smooth_l1_loss(quality, target, beta=BETA)
