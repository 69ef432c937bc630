"""What a recipe of deepfake-detect says, and the data that it names."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PositiveInt

import vitrail.training.recipe
from deepfake_detect.data import FaceRegion, Pairs, detect_regions, read_regions
from deepfake_detect.data.clip_pairs import ClipPairs
from deepfake_detect.data.clips import cut_clips, read_clips
from deepfake_detect.data.labelled import LabelledCrops, extract_faces, read_labelled, split
from deepfake_detect.decide.crops import CropRule
from vitrail.errors import InputError, UsageError
from vitrail.faces.detector import load_finder
from vitrail.sources import VIDEO_SUFFIXES
from vitrail.training.recipe import Section

VAL_SEED = 1  # of the pseudo-fakes on which weights are chosen and calibrated


class Clips(Section):
    """Clips, real ones and fakes, named in ``list`` with their labels, makers and people.

    They lie in ``folder/REPOSITORY/PATH``; ``frames`` faces of each are cut once into ``cut``.
    Those of the list's parts ``train`` are trained on, in the share ``share`` of all pairs, those
    of the parts ``val`` choose and calibrate the weights together with the photographs.
    """

    list: Path
    folder: Path
    cut: Path
    train: tuple[str, ...]
    val: tuple[str, ...]
    frames: PositiveInt = 6
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5


class ListedClips(Section):
    """A test set: one ``part`` of the clips that ``list`` names, which lie in ``folder``."""

    list: Path
    folder: Path
    part: str = "test"


class PseudoFakes(Section):
    """Real faces alone: images in ``train``, one person per image, and in ``test``, of other
    people.

    ``val_share`` of the training people choose and calibrate the weights instead; the figures are
    those of ``test``. ``mesh`` describes the face points; without one the faces are searched, and
    their points guessed from five. With ``clips``, real videos and real fakes are drawn beside
    them.
    """

    format: Literal["pseudo-fakes"]
    train: Path
    test: Path
    mesh: Path | None = None
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    val_repeats: PositiveInt = 3
    clips: Clips | None = None


class Folders(Section):
    """The user's own labelled faces: ``real`` and ``fake`` below ``path``, each with face crops.

    Where ``path`` holds videos or whole images, ``crops`` names a folder into which their faces
    are cut once, from ``frames`` frames each. ``val_share`` of the videos, or of the folders below
    ``real`` and ``fake``, validate.
    """

    format: Literal["folders"]
    path: Path
    crops: Path | None = None
    frames: PositiveInt = 16
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.2


class Model(Section):
    """The architecture and its options; ``init`` is a catalogued name or a weights file to start
    from.

    A file of the same architecture brings its ``config`` and its crops of the face along; from one
    of the other architecture the backbone alone is taken.
    """

    architecture: Literal["genconvit-ed", "genconvit-vae", "genconvit-backbone"]
    config: dict[str, Any] = Field(default_factory=dict)
    init: str | None = None


class Recipe(vitrail.training.recipe.Recipe):
    """``margin`` is that of the face crops; ``epoch`` the number of batches between two looks at
    the learning rate.

    ``reconstruction`` weighs network B's reconstruction error, ``blend_map`` the error of where the
    backbone alone sees a face blended in. ``test`` names labelled sets for ``vitrail evaluate``:
    folders with ``real`` and ``fake``, lists ``path,label``, or a part of listed clips; training
    and calibration never see them. ``manipulations`` names what was done to their fakes, by
    patterns of file names.
    """

    data: Annotated[PseudoFakes | Folders, Field(discriminator="format")]
    model: Model
    margin: float = 0.2
    epoch: PositiveInt = 100
    reconstruction: float = 1.0
    blend_map: float = 2.0
    face_detector: str = "bundled"
    test: dict[str, Path | ListedClips] = Field(default_factory=dict)
    manipulations: dict[str, str] = Field(default_factory=dict)


def make_datasets(
    recipe: Recipe, rule: CropRule
) -> tuple[Pairs, Pairs] | tuple[LabelledCrops, LabelledCrops]:
    """Training and validation data, people or videos of the one never in the other."""
    if isinstance(recipe.data, PseudoFakes):
        regions = read_faces(recipe, recipe.data.train)
        if len(regions) < 2:
            raise InputError(
                recipe.data.train,
                "holds the face of one person only",
                "some must train, others validate",
            )
        held_back = max(1, round(recipe.data.val_share * len(regions)))
        chosen = np.random.default_rng(VAL_SEED).permutation(len(regions))
        train, val = (
            [regions[n] for n in sorted(part)] for part in (chosen[held_back:], chosen[:held_back])
        )
        return Pairs(train, rule, seed=recipe.seed, train=True), Pairs(
            val, rule, seed=VAL_SEED, train=False
        )
    crops = _crops(recipe.data, rule, recipe.face_detector)
    train, val = split(read_labelled(crops), recipe.data.val_share)
    return (
        LabelledCrops(train, rule, seed=recipe.seed, train=True),
        LabelledCrops(val, rule, seed=VAL_SEED, train=False),
    )


def make_clips(recipe: Recipe, rule: CropRule) -> tuple[ClipPairs, ClipPairs] | None:
    """Pairs of the recipe's clips that train, and of those that validate; None where it names none.

    Nobody is in both: the list says who belongs where.
    """
    clips = recipe.data.clips if isinstance(recipe.data, PseudoFakes) else None
    if clips is None:
        return None
    parts = [read_clips(clips.list, clips.folder, part) for part in (clips.train, clips.val)]
    shared = {clip.group for clip in parts[0]} & {clip.group for clip in parts[1]}
    if shared:
        raise InputError(clips.list, f"trains and validates on {min(shared)}", "choose other parts")
    finder = load_finder(recipe.face_detector)
    train, val = (cut_clips(part, clips.folder, clips.cut, finder, clips.frames) for part in parts)
    return (
        ClipPairs(train, rule, seed=recipe.seed, train=True),
        ClipPairs(val, rule, seed=VAL_SEED, train=False),
    )


def read_faces(recipe: Recipe, folder: Path) -> list[FaceRegion]:
    """The faces of ``folder`` with their points, as the recipe's data are described."""
    if isinstance(recipe.data, PseudoFakes) and recipe.data.mesh:
        return read_regions(folder, recipe.data.mesh)
    return detect_regions(folder, load_finder(recipe.face_detector))


def _crops(data: Folders, rule: CropRule, face_detector: str) -> Path:
    """The folder of face crops; the faces of videos are cut first, where that is still to do."""
    files = read_labelled(data.path)
    if data.crops is None:
        if any(file.path.suffix.lower() in VIDEO_SUFFIXES for file in files):
            raise UsageError(
                "data.crops",
                "is missing",
                "name a folder for the faces that are cut from the videos",
            )
        return data.path
    folders = {file.path: data.crops / file.path.relative_to(data.path) for file in files}
    finder = load_finder(face_detector)
    for _, found in extract_faces(folders, finder, rule, frames=data.frames):
        if not isinstance(found, int):
            print(f"left out: {found}", file=sys.stderr)
    return data.crops
