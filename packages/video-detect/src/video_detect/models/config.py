"""What a network is made of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """Sizes of TGBFormer and of the Deformable DETR in it; the defaults are the paper's setting
    with ResNet-101.

    ``maps`` are the stages of the backbone that are used. With ``merged`` they become one map of
    stride 16; without, each becomes a level of its own, and ``extra_levels`` further ones halve
    the last. ``dilated`` keeps the last stage at stride 16 (DC5). ``hints`` adds channels computed
    from the backbone's classifying head. ``refine``: boxes are corrected layer by layer.
    ``two_stage``: the decoder starts from the most likely places instead of learned queries.

    ``temporal_layers`` attend over the frames within ``radius`` tokens; each of ``graph_blocks``
    is a spatial and a temporal graph of ``neighbours`` within ``graph_window`` tokens a side (None:
    anywhere). ``gate`` is ``token`` or ``channel``. ``window`` is how many frames are detected
    together.
    """

    backbone: str = "resnet101"
    maps: tuple[int, ...] = (4,)
    merged: bool = False
    dilated: bool = True
    hints: int = 0
    extra_levels: int = 0
    embed_dim: int = 256
    num_heads: int = 8
    num_points: int = 4
    encoder_layers: int = 6
    decoder_layers: int = 6
    mlp_dim: int = 1024
    num_queries: int = 300
    num_classes: int = 31
    refine: bool = True
    two_stage: bool = False
    temporal_layers: int = 1
    radius: int = 1
    graph_blocks: int = 1
    graph_layers: int = 1
    neighbours: int = 11
    graph_window: int | None = 7
    graph_mlp_ratio: int = 2
    gate: str = "token"
    window: int = 30

    def __post_init__(self) -> None:
        if self.gate not in ("token", "channel"):
            raise ValueError(f"gate is {self.gate!r}, neither token nor channel")
        if self.embed_dim % self.num_heads or self.embed_dim % 4:
            raise ValueError(f"embed_dim {self.embed_dim} is not divisible")

    @property
    def num_levels(self) -> int:
        return 1 if self.merged else len(self.maps) + self.extra_levels
