"""What a recipe says beside what every recipe says: whose people, which network, how crops vary."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

import vitrail.training.recipe
from pose_estimate.data import Labels
from vitrail.training.recipe import Section

Share = Annotated[float, Field(ge=0, le=1)]


class Teacher(Section):
    """Photographs that BlazePose labels. ``landmarks`` and ``detector`` are its two files, out of
    the wheel mediapipe 0.10.14; what they say is kept in the file ``cache``. In ``images`` it looks
    for people itself; of the data sets in ``boxed`` it takes the boxes of those whose joints nobody
    labelled. People below ``min_score`` are left out. Of the rest a share of the batches' people is
    drawn."""

    landmarks: Path
    detector: Path
    images: Annotated[tuple[Path, ...], Field(min_length=1)]
    boxed: tuple[Labels, ...] = ()
    cache: Path
    min_score: Share = 0.7
    share: Share = 0.4


class Made(Section):
    """People that are rendered over the pictures in ``backgrounds``: a share of the batches'
    people."""

    backgrounds: Annotated[tuple[Path, ...], Field(min_length=1)]
    share: Share = 0.2


class People(Section):
    """``labelled`` are trained on, but for ``val_share`` of their pictures, which validate;
    ``test`` is measured on by 'vitrail evaluate' alone; so are the answers of others in
    ``results``, files in COCO's form by name. ``empty`` are folders of pictures without people, for
    the finder."""

    labelled: Annotated[tuple[Labels, ...], Field(min_length=1)]
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.15
    test: tuple[Labels, ...] = ()
    results: dict[str, Path] = Field(default_factory=dict)
    teacher: Teacher | None = None
    made: Made | None = None
    empty: tuple[Path, ...] = ()


class Model(Section):
    """``evitpose`` or ``unitranspose`` with their options, or ``finder`` with those of the core's
    detector. ``init`` is a catalogued name or a weights file to start from; ``imagenet`` fills a
    ``lite`` stem with EfficientNet-Lite0's weights, of whose stages the first ``frozen`` stay as
    they are, while the others learn at ``trunk_rate`` of the learning rate."""

    architecture: Literal["evitpose", "unitranspose", "finder"]
    config: dict[str, Any] = Field(default_factory=dict)
    init: str | None = None
    imagenet: bool = False
    frozen: Annotated[int, Field(ge=0, le=6)] = 0
    trunk_rate: Annotated[float, Field(gt=0, le=1)] = 1.0


class Augment(Section):
    """How crops vary: by ``scale`` either way, turned by up to ``rotate`` degrees in ``rotated`` of
    them, moved by ``shift`` of the box, mirrored, cut to half a body, partly hidden, degraded as
    cameras do."""

    scale: Share = 0.35
    rotate: Annotated[float, Field(ge=0, le=180)] = 40.0
    rotated: Share = 0.6
    shift: Share = 0.08
    flip: Share = 0.5
    half_body: Share = 0.3
    hidden: Share = 0.3
    degraded: Share = 0.7


class Pruning(Section):
    """In ``share`` of the batches EViTPose keeps a random part of the patches, at least
    ``min_keep``; ``distil`` weighs how near its heat maps then stay to those of all patches."""

    share: Share = 0.5
    min_keep: Annotated[float, Field(gt=0, le=1)] = 0.3
    distil: Annotated[float, Field(ge=0)] = 0.0


class Recipe(vitrail.training.recipe.Recipe):
    """``skeleton`` names the joints to learn: one of the table, or a TOML file with the user's own.
    ``epoch`` is the number of batches after which the run's state is kept; ``workers`` processes
    compose them. With ``average`` the file holds the running mean of the weights, of which each
    step keeps that share."""

    data: People
    model: Model
    skeleton: str = "coco"
    augment: Augment = Augment()
    pruning: Pruning = Pruning()
    epoch: PositiveInt = 100
    workers: Annotated[int, Field(ge=0, le=16)] = 0
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
