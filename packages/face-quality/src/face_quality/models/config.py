"""Sizes of the networks, as weights files and recipes describe them; importing this loads no
PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass

from vitrail.errors import UsageError

MODES = ("token", "crfiqa", "full")


@dataclass(frozen=True)
class FIQAConfig:
    """Sizes of a network; the defaults are those of ViT-S, the released one.

    ``mode`` says what tells the quality, as the release calls it: ``token``, a token of its own,
    ViT-FIQA(T); ``crfiqa``, the embedding, without such a token, ViT-FIQA(C); ``full``, the
    embedding of all tokens. ``stem``: ``patch`` is one convolution of ``patch_size``; ``conv`` is
    one of stride 2 for each of ``stem_widths`` and one more, so that a patch has ``2 **
    (len(stem_widths) + 1)`` pixels. ``embedding_dim`` None: ``embed_dim``. ``drop_path`` acts in
    training only. ``views``: a score is the mean over the crop, with 2 its mirror, with 4 both a
    little nearer too; the release has 1.
    """

    img_size: int = 112
    patch_size: int = 9
    embed_dim: int = 512
    depth: int = 12
    num_heads: int = 8
    mlp_ratio: float = 4.0
    mode: str = "token"
    stem: str = "patch"
    stem_widths: Sequence[int] = (24, 48, 96)
    embedding_dim: int | None = None
    drop_path: float = 0.1
    views: int = 1

    def __post_init__(self):
        """Raises UsageError for sizes that do not go together."""
        faults = {
            f"mode {self.mode} is none of {', '.join(MODES)}": self.mode not in MODES,
            f"stem {self.stem} is neither patch nor conv": self.stem not in ("patch", "conv"),
            f"embed_dim {self.embed_dim} does not divide by num_heads": self.embed_dim
            % self.num_heads,
            f"img_size {self.img_size} is less than a patch": self.img_size < self.stride,
            f"views {self.views} is none of 1, 2, 4": self.views not in (1, 2, 4),
            f"depth {self.depth} is no number of blocks": self.depth < 1,
        }
        for fault, found in faults.items():
            if found:
                raise UsageError("vit-fiqa", fault)

    @property
    def stride(self) -> int:
        return self.patch_size if self.stem == "patch" else 2 ** (len(self.stem_widths) + 1)

    @property
    def num_patches(self) -> int:
        """What is left over at the right and below is never seen: 4 of 112 pixels for patches of
        9."""
        return (self.img_size // self.stride) ** 2

    @property
    def num_tokens(self) -> int:
        return self.num_patches + (self.mode != "crfiqa")

    @property
    def features(self) -> int:
        """Numbers of the embedding."""
        return self.embedding_dim or self.embed_dim
