"""Sizes of the networks, as weights files and recipes describe them."""

from collections.abc import Sequence
from dataclasses import dataclass

from vitrail.errors import UsageError

PATCH = 16
STRIDE = 4  # of the heat maps
HEADS = ("heatmap", "token", "regression")


@dataclass(frozen=True)
class EViTPoseConfig:
    """A plain vision transformer with learnable joint tokens; without them (``joint_tokens`` False)
    it is ViTPose.

    ``img_size`` is (height, width). ``stem``: ``patch`` is ViTPose's one convolution, ``lite`` the
    trunk of EfficientNet-Lite0, its maps at strides 16 and 32 added. ``decoder``: ``classic`` is
    two deconvolutions of ``decoder_filters``, ``simple`` one convolution after enlarging. ``heads``
    names what the network can answer with. After the blocks of ``select_after`` patches may be
    dropped; they are ranked by the attention of the joints, reduced over joints by ``rank_joints``
    (``max`` or ``mean``) and averaged over ``rank_blocks`` (``all`` up to there, or the ``last``).
    Cells of dropped patches take their features from when they were dropped (``fill`` ``kept``), or
    are ``zero``. ``drop_path`` acts in training only.
    """

    img_size: Sequence[int] = (256, 192)
    num_joints: int = 17
    embed_dim: int = 384
    depth: int = 12
    num_heads: int = 12
    mlp_ratio: float = 4.0
    stem: str = "patch"
    joint_tokens: bool = True
    decoder: str = "classic"
    decoder_filters: int = 256
    heads: Sequence[str] = ("heatmap",)
    select_after: Sequence[int] = (3,)
    rank_joints: str = "max"
    rank_blocks: str = "all"
    fill: str = "kept"
    drop_path: float = 0.0

    def __post_init__(self):
        """Raises UsageError for sizes that do not go together."""
        sides, tokens = self.img_size, set(self.heads) - {"heatmap"}
        last = max(self.select_after, default=0)
        _refuse(
            "evitpose",
            {
                f"img_size {tuple(sides)} is no multiple of {PATCH}": any(
                    side % PATCH or side < PATCH for side in sides
                ),
                f"embed_dim {self.embed_dim} does not divide by num_heads": self.embed_dim
                % self.num_heads,
                f"stem {self.stem} is neither patch nor lite": self.stem not in ("patch", "lite"),
                f"decoder {self.decoder} is neither classic nor simple": self.decoder
                not in ("classic", "simple"),
                f"heads {tuple(self.heads)} are not among {HEADS}": not self.heads
                or not set(self.heads) <= set(HEADS),
                "the heads token and regression need joint_tokens": bool(tokens)
                and not self.joint_tokens,
                f"select_after {last} is not before the last block": last >= self.depth
                or min(self.select_after, default=1) < 1,
                f"rank_joints {self.rank_joints} is neither max nor mean": self.rank_joints
                not in ("max", "mean"),
                f"rank_blocks {self.rank_blocks} is neither all nor last": self.rank_blocks
                not in ("all", "last"),
                f"fill {self.fill} is neither kept nor zero": self.fill not in ("kept", "zero"),
            },
        )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        height, width = self.img_size
        return height // PATCH, width // PATCH

    @property
    def num_patches(self) -> int:
        rows, columns = self.grid
        return rows * columns

    @property
    def heatmap_size(self) -> tuple[int, int]:
        """Rows and columns of a heat map."""
        height, width = self.img_size
        return height // STRIDE, width // STRIDE


@dataclass(frozen=True)
class UniTransPoseConfig:
    """Four scales, at strides 4, 8, 16 and 32, of windowed local attention with joint-aware global
    attention.

    ``embed_dim`` is the width at stride 4, which doubles at each further scale. ``stem``: ``conv``
    is two convolutions, ``lite`` also adds the maps of EfficientNet-Lite0 at each scale. ``window``
    is (rows, columns); ``shift`` moves the windows of every second block by half of that.
    ``gate`` is what the scale of the joint-to-patch attention begins with.
    """

    img_size: Sequence[int] = (256, 192)
    num_joints: int = 17
    embed_dim: int = 64
    depths: Sequence[int] = (2, 2, 6, 2)
    num_heads: Sequence[int] = (2, 4, 8, 16)
    window: Sequence[int] = (8, 6)
    shift: bool = False
    mlp_ratio: float = 4.0
    joint_mlp_ratio: float = 4.0
    decoder_dim: int = 64
    stem: str = "conv"
    heads: Sequence[str] = ("heatmap", "regression")
    gate: float = 1e-2
    drop_path: float = 0.0

    def __post_init__(self):
        """Raises UsageError for sizes that do not go together."""
        widths = zip(self.dims, self.num_heads, strict=False)
        _refuse(
            "unitranspose",
            {
                f"img_size {tuple(self.img_size)} is no multiple of 32": any(
                    side % 32 or side < 32 for side in self.img_size
                ),
                "depths and num_heads need four numbers each": (
                    len(self.depths),
                    len(self.num_heads),
                )
                != (4, 4),
                "a width does not divide by its num_heads": any(dim % n for dim, n in widths),
                f"stem {self.stem} is neither conv nor lite": self.stem not in ("conv", "lite"),
                f"heads {tuple(self.heads)} are not heatmap, regression": not self.heads
                or not set(self.heads) <= {"heatmap", "regression"},
            },
        )

    @property
    def dims(self) -> tuple[int, ...]:
        """The width at each scale."""
        return tuple(self.embed_dim * 2**scale for scale in range(4))

    @property
    def heatmap_size(self) -> tuple[int, int]:
        """Rows and columns of a heat map."""
        height, width = self.img_size
        return height // STRIDE, width // STRIDE


def _refuse(name: str, faults: dict[str, object]) -> None:
    for fault, found in faults.items():
        if found:
            raise UsageError(name, fault)


VITPOSE = {
    "small": {"embed_dim": 384, "depth": 12, "num_heads": 12},
    "base": {"embed_dim": 768, "depth": 12, "num_heads": 12},
    "large": {"embed_dim": 1024, "depth": 24, "num_heads": 16},
    "huge": {"embed_dim": 1280, "depth": 32, "num_heads": 16},
}
UNITRANSPOSE = {
    "tiny": {"embed_dim": 64},
    "small": {"embed_dim": 96, "num_heads": (3, 6, 12, 24)},
    "base": {"embed_dim": 128, "num_heads": (4, 8, 16, 32), "depths": (2, 2, 18, 2)},
}
