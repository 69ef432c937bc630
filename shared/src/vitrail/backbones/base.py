"""What all our image networks answer to, in timm's words: features, head, and maps of stages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn


class Backbone(nn.Module):
    """A network of stages: ``maps`` gives their maps one after the other.

    ``feature_info`` says for each map its channels (``num_chs``), how many pixels of the image one
    step on it takes (``reduction``), and which ``module`` makes it; ``num_features`` is the width
    of the pooled features.
    """

    feature_info: list[dict]
    num_features: int

    def maps(self, image: Tensor) -> Iterator[Tensor]:
        """(B, C, H, W) to (B, num_chs, H / reduction, W / reduction), the finest first."""
        raise NotImplementedError

    def forward_head(self, features: Tensor) -> Tensor:
        """What ``forward_features`` gives to logits (B, num_classes), or without classes to pooled
        features (B, num_features)."""
        raise NotImplementedError

    def drop_head(self) -> None:
        """Takes away what only ``forward_head`` needs."""
        self.head = nn.Identity()

    def forward_features(self, image: Tensor) -> Tensor:
        """The last map."""
        last = image
        for last in self.maps(image):  # noqa: B007 (one map at a time stays in memory)
            pass
        return last

    def forward_intermediates(
        self, image: Tensor, indices: Sequence[int]
    ) -> tuple[Tensor, list[Tensor]]:
        """What ``forward_features`` gives, and the maps of the stages ``indices``."""
        maps = list(self.maps(image))
        return maps[-1], [maps[number] for number in indices]

    def forward(self, image: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(image))


@dataclass(frozen=True)
class FeatureInfo:
    """What is known of the maps of ``FeatureMaps``, finest first."""

    stages: tuple[dict, ...]

    def channels(self) -> list[int]:
        return [stage["num_chs"] for stage in self.stages]

    def reduction(self) -> list[int]:
        """Pixels of the image that one step on each map takes."""
        return [stage["reduction"] for stage in self.stages]


class FeatureMaps(nn.Module):
    """A network without its head, from which the maps of the stages ``indices`` are taken (all
    by default).

    Raises IndexError for a stage that the network has not.
    """

    def __init__(self, model: Backbone, indices: Sequence[int] | None = None):
        super().__init__()
        numbers = range(len(model.feature_info))
        self.indices = tuple(numbers if indices is None else (numbers[i] for i in indices))
        self.feature_info = FeatureInfo(tuple(model.feature_info[i] for i in self.indices))
        model.drop_head()
        self.model = model

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, C, H, W) to a list of (B, C', H', W')."""
        found = {}
        for number, x in enumerate(self.model.maps(image)):
            if number in self.indices:
                found[number] = x
            if number == max(self.indices):
                break
        return [found[number] for number in self.indices]
