"""What a recipe of video-detect says."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

import vitrail.training.recipe
from vitrail.training.recipe import Section


class Data(Section):
    """``coco`` holds pictures with boxes and polygons; ``films`` are folders in MOT's layout below
    ``film_folder``, each with the class of its object.

    ``test`` and ``val`` pictures of ``coco`` are kept out: the figures are those of the former, the
    latter choose the weights. ``more`` is a folder of further pictures, in ``images`` with
    ``boxes``, which are all trained on. ``test_films`` are measured on and never trained on. An
    epoch is ``batches`` made ones, of scenes or of clips of ``frames``, by ``workers`` processes;
    ``sizes`` are their heights and widths.

    ``mot`` is a folder of films in MOT's layout whose tracks are measured instead of all else,
    those of the class ``mot_class``; with ``mot_results``, a folder of ``NAME.txt``, those of
    others.
    """

    coco: Path
    more: Path | None = None
    film_folder: Path | None = None
    films: dict[str, str] = Field(default_factory=dict)
    test_films: dict[str, str] = Field(default_factory=dict)
    test: NonNegativeInt = 40
    val: PositiveInt = 20
    batches: PositiveInt = 320
    sizes: tuple[tuple[PositiveInt, PositiveInt], ...] = ((224, 384), (288, 384), (384, 288))
    frames: PositiveInt = 6
    val_clips: PositiveInt = 24
    workers: Annotated[int, Field(ge=0, le=32)] = 0
    mot: Path | None = None
    mot_class: str = "person"
    mot_results: Path | None = None


class Model(Section):
    """The network's options; ``init`` is a catalogued name or a weights file to start from, which
    brings its options along."""

    config: dict[str, Any] = Field(default_factory=dict)
    init: str | None = None


class Recipe(vitrail.training.recipe.Recipe):
    """``stage`` ``image`` trains encoder and decoder on single pictures, ``clip`` the two branches,
    their blender and the decoder on made clips; the second needs the first's weights."""

    stage: Literal["image", "clip"]
    data: Data
    model: Model
    score: Annotated[float, Field(gt=0, lt=1)] = 0.3
