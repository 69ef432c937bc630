"""What a recipe says beside what every recipe says: pairs, model, where it starts, how pairs are
changed."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

import vitrail.training.recipe
from change_detect.training.augment import Augment
from vitrail.training.recipe import Section


class Data(Section):
    """Folders that hold A, B and label. ``val_scenes`` of those in ``train`` choose the epoch and
    the threshold; none: about a fifth of the scenes, which is said. Scenes in ``left_out`` are not
    learned from. ``test`` is looked at by 'vitrail evaluate' alone, as is ``medium``, a scene of
    30 m with labels. In each of ``rounds`` 'vitrail evaluate' trains anew without the scenes that
    it names, and measures there; the first of ``val_scenes`` that is not among them chooses.
    ``side`` is that of training's crops in pixels, ``gsd`` what a pixel covers, in metres."""

    train: Annotated[tuple[Path, ...], Field(min_length=1)]
    val: tuple[Path, ...] = ()
    val_scenes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    test: tuple[Path, ...] = ()
    medium: Path | None = None
    rounds: tuple[tuple[str, ...], ...] = ()
    side: PositiveInt = 128
    gsd: PositiveFloat | None = None


class Model(Section):
    """The architecture and its options. ``start`` "imagenet" fills the detail branch "lite" (or the
    yardstick's encoder) with EfficientNet-Lite0; ``vit`` is a file of DeiT, DINO or DINOv2 for the
    ViT, ``resnet`` one of ResNet-18 for the detail branch "resnet"; ``init`` is a weights file of
    the same options."""

    architecture: Literal["changevit", "unet"] = "changevit"
    config: dict[str, Any] = Field(default_factory=dict)
    start: Literal["imagenet"] | None = None
    vit: Path | None = None
    resnet: Path | None = None
    init: Path | None = None


class Recipe(vitrail.training.recipe.Recipe):
    """``optimizer``: AdamW, or as the paper has it Adam, whose decay is a part of the gradient.
    ``detail_lr`` is the learning rate of what starts from ImageNet, as a share of the
    others', and ``frozen`` so many of its stages stay as they are (its norms too,
    then); an ``epoch`` has so many steps, and a validation at its end. With ``masked``, that share
    of each date's patches is hidden and the encoder alone learns to paint them, without labels."""

    data: Data
    model: Model = Model()
    augment: Augment = Augment()
    optimizer: Literal["adamw", "adam"] = "adamw"
    detail_lr: Annotated[float, Field(gt=0, le=1)] = 1.0
    frozen: Annotated[int, Field(ge=0, le=5)] = 0
    epoch: PositiveInt = 64
    masked: Annotated[float, Field(gt=0, lt=1)] | None = None
