"""What a recipe says beside what every recipe says: people, teacher, model, losses."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

import vitrail.training.recipe
from vitrail.training.recipe import Section


class Data(Section):
    """``paths`` as ``face_quality.data.find_photographs`` reads them; of the people in the lists
    ``leave_out`` no picture is taken, of any other at most ``max_pictures``. Of those with two
    pictures and more ``val_share`` validates. ``test`` is the folder with ``test.csv`` and
    ``test_pairs.csv``; ``ediffiqa`` the ONNX file of eDifFIQA(T) from the OpenCV zoo, which is
    judged beside ours where it is given."""

    paths: Annotated[tuple[Path, ...], Field(min_length=1)]
    leave_out: tuple[Path, ...] = ()
    max_pictures: PositiveInt | None = None
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.08
    test: Path | None = None
    ediffiqa: Path | None = None


class Teaching(Section):
    """``path`` is dlib's recognition network; None: nobody teaches. ``variants`` is how many
    degraded copies of each picture it has looked at, once; ``embedding`` weighs the distance to
    its embedding of the picture as it was; ``quality`` says whose certainty ratio is learned.
    With ``ranks`` it is the rank in 0..1 that the teacher's ratio has among all pictures and
    copies as they are drawn: most ratios of pictures as taken lie close together, and their order
    would hardly count."""

    path: Path | None = None
    variants: PositiveInt = 1
    embedding: NonNegativeFloat = 10.0
    quality: Literal["teacher", "own"] = "teacher"
    ranks: bool = False


class Loss(Section):
    """The margin softmax over people: ``weight`` 0 leaves it out. ``quality`` weighs the loss of
    the quality. With ``alignments`` above 0 each picture is shown as two detectors might have
    aligned it, and the squared difference of their qualities is weighed by it."""

    kind: Literal["cosface", "arcface"] = "cosface"
    margin: NonNegativeFloat = 0.4
    scale: PositiveFloat = 64.0
    weight: NonNegativeFloat = 1.0
    quality: NonNegativeFloat = 10.0
    alignments: NonNegativeFloat = 0.0


class Model(Section):
    """Options of the architecture; ``init`` is a weights file to go on from."""

    config: dict[str, Any] = Field(default_factory=dict)
    init: str | None = None


class Recipe(vitrail.training.recipe.Recipe):
    """``degraded`` is the share of degraded pictures in training; ``mask``: a tenth of the tokens
    is left out, never the quality token (``patches``) or as the release does it (``official``)."""

    data: Data
    teacher: Teaching = Teaching()
    model: Model
    loss: Loss = Loss()
    degraded: Annotated[float, Field(ge=0, le=1)] = 0.5
    mask: Literal["off", "patches", "official"] = "off"
