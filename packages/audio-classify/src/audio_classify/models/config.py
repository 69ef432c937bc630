"""Sizes of the networks, as weights files and recipes describe them."""

from collections.abc import Sequence
from dataclasses import dataclass

from vitrail.errors import UsageError

SIZES = {
    "tiny": {"embed_dim": 192, "num_heads": 3},
    "small": {"embed_dim": 384, "num_heads": 6},
    "base": {"embed_dim": 768, "num_heads": 12},
}


@dataclass(frozen=True)
class SSASTConfig:
    """Sizes of a network; the defaults are those of the base model, fine-tuned on patches for ten
    seconds. Without classes there is no head, and the network gives embeddings.

    ``num_frames`` of 10 ms is the longest input, for which positions exist. ``patch`` and
    ``stride`` are (bins, frames): (16, 16) for the patch model, (128, 2) for the frame model.
    ``class_tokens`` is 2, or 1 for a trunk without a distillation token. ``pooling``: ``mean`` of
    the patch tokens, or of the ``class`` tokens. ``stem``: ``patch`` is one convolution; ``conv``
    is one of stride 2 per ``stem_width`` and one more, which together must make ``patch``;
    ``speech`` is the convolutions of a speech embedding, for patches of (bins, 8).
    ``norm_eps`` is that of the trunk, ``head_norm_eps`` of the classifier. ``drop_path`` acts in
    training only.
    """

    num_classes: int = 527
    num_frames: int = 1024
    num_bins: int = 128
    patch: Sequence[int] = (16, 16)
    stride: Sequence[int] = (10, 10)
    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    class_tokens: int = 2
    pooling: str = "mean"
    stem: str = "patch"
    stem_widths: Sequence[int] = (16, 32, 64)
    norm_eps: float = 1e-6
    head_norm_eps: float = 1e-5
    drop_path: float = 0.0

    def __post_init__(self):
        """Raises UsageError for sizes that do not go together."""
        fixed = {
            "conv": (2 ** (len(self.stem_widths) + 1),) * 2,
            "speech": (self.num_bins, 8),
        }.get(self.stem)
        faults = {
            f"embed_dim {self.embed_dim} does not divide by num_heads": self.embed_dim
            % self.num_heads,
            f"pooling {self.pooling} is neither mean nor class": self.pooling
            not in ("mean", "class"),
            f"stem {self.stem} is none of patch, conv, speech": self.stem != "patch"
            and fixed is None,
            f"this {self.stem} stem makes patches of {fixed}": fixed
            and not tuple(self.patch) == tuple(self.stride) == fixed,
            f"num_frames {self.num_frames} is less than a patch": self.num_frames < self.patch[1],
        }
        for fault, found in faults.items():
            if found:
                raise UsageError("ssast", fault)

    def grid(self, num_frames: int) -> tuple[int, int]:
        """Rows of frequencies and columns of time for an input of ``num_frames``."""
        sizes = zip((self.num_bins, num_frames), self.patch, self.stride, strict=True)
        rows, columns = ((size - patch) // stride + 1 for size, patch, stride in sizes)
        return rows, columns

    @property
    def min_frames(self) -> int:
        """The fewest frames that the network takes; the stem ``speech`` always gets all that it can
        take, since each of its tokens looks far beyond itself."""
        return self.num_frames if self.stem == "speech" else self.patch[1]


@dataclass(frozen=True)
class CNNConfig:
    """``widths``: the channels of each convolution."""

    num_classes: int = 10
    num_frames: int = 1024
    num_bins: int = 128
    widths: Sequence[int] = (16, 32, 64, 64)

    @property
    def min_frames(self) -> int:
        """One frame for each of the map that the convolutions leave."""
        return 2 ** len(self.widths)
