"""The yardstick: a few ordinary convolutions, against which a transformer has to show its worth."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class ConvConfig:
    """Sizes as ``SpecViTConfig`` calls them."""

    components: int = 15
    num_classes: int = 16
    patch: int = 9
    width: int = 64
    dropout: float = 0.2


class ConvNet(nn.Module):
    """(B, components, patch, patch) -> logits (B, num_classes): 1 x 1 and 3 x 3 convolutions, then
    the mean over the places."""

    def __init__(self, config: ConvConfig):
        super().__init__()
        self.config = config
        width = config.width
        self.features = nn.Sequential(
            *_layer(config.components, width, 1),
            *_layer(width, width, 3),
            *_layer(width, width, 1),
            *_layer(width, width, 3),
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(width, config.num_classes)

    def forward_features(self, patches: Tensor) -> Tensor:
        return self.features(patches).mean((2, 3))

    def forward(self, patches: Tensor) -> Tensor:
        return self.head(self.dropout(self.forward_features(patches)))

    def forward_image(self, image: Tensor) -> Tensor:
        """(components, rows + patch - 1, columns + patch - 1) -> the same logits (rows, columns,
        num_classes) as of every patch in it, each pixel computed once."""
        features = self.features(image[None])
        side = self.config.patch - (image.shape[1] - features.shape[2])
        means = F.avg_pool2d(features, side, stride=1)[0]
        return self.head(means.permute(1, 2, 0))


def _layer(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel), nn.BatchNorm2d(outputs), nn.ReLU()]
