"""What a recipe says beside what every recipe says: recordings, network, losses, closed loop."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

import vitrail.training.recipe
from vitrail.training.recipe import Section

TaskName = Literal[
    "segmentation", "red_light", "stop_sign", "waypoints", "steer", "throttle", "brake", "speed",
    "path", "target_speed",
]  # fmt: skip


class Data(Section):
    """Folders in the layout of TransFuser 2022. ``val_share`` of the drives validate, at most
    ``val_frames`` of their frames, evenly spread; towns in ``left_out`` are seen by neither.
    ``share`` of the training drives' frames is used; the release's default was 0.02, which it
    called low data. ``hide_target`` is the share of the samples that are not told their target
    point, against steering by it alone."""

    paths: Annotated[tuple[Path, ...], Field(min_length=1)]
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.15
    val_frames: PositiveInt | None = None
    left_out: tuple[str, ...] = ()
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    augment: bool = True
    hide_target: Annotated[float, Field(ge=0, le=1)] = 0.15
    workers: Annotated[int, Field(ge=0, le=16)] = 0


class Model(Section):
    """``init``: a weights file to go on from. ``pretrained`` starts a ``lite0`` encoder from
    ImageNet features, ``frozen_encoder`` leaves it as it is.

    ``learn`` ``seeing``: only classes, lights and signs. ``driving``: all but the classes, which
    ``init`` must have learned; what the network sees in a frame is then reckoned once and kept, so
    that an epoch costs a tenth."""

    architecture: Literal["letfuser", "dmfuser"] = "letfuser"
    config: dict[str, Any] = Field(default_factory=dict)
    init: str | None = None
    pretrained: bool = False
    frozen_encoder: bool = False
    learn: Literal["all", "seeing", "driving"] = "all"


class Losses(Section):
    """``segmentation``: ``bce_dice`` as the release has it, or ``cross_entropy``. ``balance``:
    ``fixed`` weights; ``gradnorm`` as its paper has it; ``uncertainty``; or ``drift``, what the
    release's attempt at GradNorm does: once an epoch each weight falls by the learning rate times
    its loss."""

    segmentation: Literal["bce_dice", "cross_entropy"] = "cross_entropy"
    balance: Literal["fixed", "gradnorm", "uncertainty", "drift"] = "fixed"
    alpha: float = 1.5
    weights: dict[TaskName, float] = Field(default_factory=dict)


class Evaluation(Section):
    """Closed loop on made towns: seeds ``towns``, with ``routes`` each, driven with every one of
    ``seeds``, in ``workers`` processes. ``folder`` keeps each drive, so that a run that was cut
    goes on. ``frames`` is a folder of labelled CARLA frames; ``test`` a recording kept out."""

    towns: tuple[int, ...] = (900, 901, 902)
    routes: PositiveInt = 2
    seeds: tuple[int, ...] = (1, 2, 3)
    weathers: tuple[str, ...] = ("ClearNoon", "ClearNight", "MidRainyNoon")
    traffic: int = 30
    walkers: int = 45
    every: PositiveInt = 4
    policies: tuple[
        Literal["expert", "lane", "blind", "model", "model-no-safety", "model-no-targets"], ...
    ] = ("expert", "lane", "blind", "model")
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    folder: Path | None = None
    frames: Path | None = None
    test: Path | None = None


class Recipe(vitrail.training.recipe.Recipe):
    data: Data
    model: Model = Model()
    losses: Losses = Losses()
    evaluation: Evaluation = Evaluation()
