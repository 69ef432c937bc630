"""Sizes of ChangeViT and what its releases do in an own way, as weights files describe them."""

from collections.abc import Sequence
from dataclasses import dataclass

from vitrail.errors import UsageError

PATCH = 16
ORDERS = ("later-first", "earlier-first", "both")
CHOICES = {
    "positions": ("scaled", "sized"),
    "order": ORDERS,
    "injector_act": ("relu", "gelu"),
    "detail": ("resnet", "lite"),
    "tokens": ("patches", "map"),
}
RELEASED = {  # what weights of the release depend on, where new training has it otherwise
    "positions": "scaled",
    "order": "later-first",
    "injector_act": "relu",
    "injector_eps": 1e-5,
    "norm_eps": 1e-6,
    "layer_scale": False,
}
SIZES = {
    "tiny": {"embed_dim": 192, "num_heads": 6},
    "small": {"embed_dim": 384, "num_heads": 6},
}


@dataclass(frozen=True)
class ChangeViTConfig:
    """The defaults are the release's tiny model, but for what ``RELEASED`` names.

    ``grid`` is (rows, columns) of patches for which positions are stored. ``positions`` "scaled"
    resamples them, at every size, as the release does: by the factor (rows + 0.1) / stored rows;
    "sized" by the size alone, and not at all where it is the stored one. ``order`` says which date
    the difference modules see first; "both" means the mean of the logits of both orders.
    ``layer_scale`` keeps DINOv2's factors, which the release drops. ``detail_dims`` are the
    channels at 1/2, 1/4 and 1/8 of the image's sides. ``detail`` "lite" has the first stages of
    EfficientNet-Lite0 in place of ResNet-18's, and then ``tokens`` "map" makes the ViT's tokens
    of its map at 1/16 in place of the image's patches. ``decay`` is by how much the difference
    modules narrow.
    """

    embed_dim: int = 192
    depth: int = 12
    num_heads: int = 6
    mlp_ratio: int = 4
    grid: Sequence[int] = (16, 16)
    positions: str = "sized"
    norm_eps: float = 1e-6
    layer_scale: bool = False
    drop_path: float = 0.0
    detail: str = "resnet"
    tokens: str = "patches"
    detail_dims: Sequence[int] = (64, 128, 256)
    injector_heads: int = 8
    injector_act: str = "relu"
    injector_eps: float = 1e-5
    decay: int = 4
    order: str = "both"

    def __post_init__(self):
        """Raises UsageError for sizes that do not go together."""
        faults = {
            f"embed_dim {self.embed_dim} does not divide by num_heads": self.embed_dim
            % self.num_heads,
            f"embed_dim {self.embed_dim} does not divide by injector_heads": self.embed_dim
            % self.injector_heads,
            "tokens of a map need the detail branch lite": self.tokens == "map"
            and self.detail != "lite",
        }
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            faults[f"{name} {value} is none of {', '.join(choices)}"] = value not in choices
        for fault, found in faults.items():
            if found:
                raise UsageError("changevit", fault)
