"""Sizes of the networks, as weights files and recipes describe them."""

from collections.abc import Sequence
from dataclasses import dataclass

from vitrail.errors import UsageError

STRIP = (160, 768)  # rows and columns of the three cameras side by side, as LeTFuser sees them


@dataclass(frozen=True)
class LeTFuserConfig:
    """The defaults are LeTFuser as it was released.

    ``encoder``: ``cvt`` with ``dims``, ``num_heads``, ``depths``; ``lite0`` is EfficientNet-Lite0,
    whose maps have the same scales. ``decoder`` are the widths of the segmentation decoder from
    coarse to fine, ``stem`` that of the full image's convolution. ``neck_hidden``, ``neck``,
    ``measurement``, ``hidden``: widths of the fusion and of the heads; the latent vector has
    ``neck`` + ``measurement``. ``neck_grid``: cells to which both maps are averaged before they
    become a vector; the release takes one.

    ``projection``: how depth becomes a bird's-eye map. ``official`` as the release does, with its
    focal length and angles; ``metric`` with the cameras' real ones, points between ``heights``
    metres above the ground only. ``use_depth`` off leaves the map empty, for ablations.

    ``raw_bytes``: the release normalises bytes of 0..255 as if they were 0..1, and its weights
    depend on it. ``control_sigmoid`` and ``control_steps`` differ in DMFuser, as do ``single_task``
    (its distillation heads) and ``attention_heads``. ``path_points`` and ``speed_bins`` (m/s) add
    what later work found better: a path, and a target speed as a choice. ``stop_head`` adds a
    probability of a stop sign.

    For a few watts: ``shrink`` is how many pixels, both ways, are averaged to one before the
    encoder and the map from above see them; ``cloud_encoder`` ``small`` takes a tenth of ``b1``'s
    work; ``detail`` is the width of a branch of its own that looks for lights and signs in the
    front camera at full size, where a far lamp still has its pixels. 0 leaves it out, and both are
    told from the encoder's mean as in the release.
    """

    encoder: str = "cvt"
    dims: Sequence[int] = (64, 192, 384)
    num_heads: Sequence[int] = (1, 3, 6)
    depths: Sequence[int] = (1, 2, 10)
    drop_path: float = 0.0
    classes: int = 23
    stem: int = 24
    decoder: Sequence[int] = (384, 192, 64, 32)
    neck_hidden: int = 384
    neck: int = 136
    neck_grid: Sequence[int] = (1, 1)
    measurement: int = 96
    hidden: int = 384
    waypoints: int = 3
    projection: str = "official"
    heights: Sequence[float] = (-0.5, 2.6)
    use_depth: bool = True
    raw_bytes: bool = True
    control_steps: int = 1
    attention_heads: int = 8
    single_task: bool = False
    path_points: int = 0
    speed_bins: Sequence[float] = ()
    stop_head: bool = False
    shrink: int = 1
    cloud_encoder: str = "b1"
    detail: int = 0

    def __post_init__(self):
        """Raises UsageError for sizes that do not go together."""
        faults = {
            f"encoder {self.encoder} is neither cvt nor lite0": self.encoder
            not in ("cvt", "lite0"),
            f"projection {self.projection} is neither official nor metric": self.projection
            not in ("official", "metric"),
            f"cloud_encoder {self.cloud_encoder} is neither b1 nor small": self.cloud_encoder
            not in ("b1", "small"),
            f"shrink {self.shrink} is not 1, 2 or 4": self.shrink not in (1, 2, 4),
            "shrink goes with projection metric": self.shrink > 1 and self.projection != "metric",
            "decoder has not four widths": len(self.decoder) != 4,
            "speed_bins are fewer than two": len(self.speed_bins) == 1,
        }
        for fault, found in faults.items():
            if found:
                raise UsageError("letfuser", fault)

    @property
    def latent(self) -> int:
        return self.neck + self.measurement
