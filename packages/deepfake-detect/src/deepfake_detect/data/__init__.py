"""Faces to training samples: pairs of a real face and its pseudo-fake."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator, default_rng
from torch import Tensor
from torch.utils.data import Dataset

from deepfake_detect.data.augment import augment_alike
from deepfake_detect.data.points import (
    MIRROR,
    box_from_points,
    landmarks_from_points,
    points_from_landmarks,
    read_mesh,
)
from deepfake_detect.data.pseudo_fakes import self_blend
from deepfake_detect.decide.crops import CropRule, cut_square
from deepfake_detect.model import FAKE, REAL
from vitrail.errors import InputError
from vitrail.faces.face import Face
from vitrail.faces.find import Finder
from vitrail.preprocess.image import read_image
from vitrail.sources import image_files

# How far beyond the face's square the region reaches in which a pseudo-fake is made, in sides
SURROUNDINGS = 0.6
REGION = 224  # pixels: the region's side while it is made
BLEND_STRIDE = 8  # pixels of the crop to one of the map of where it was blended
CUT_OFF = 0.15  # share of training pairs whose image may end close to the face

Square = tuple[int, int, int, int]


@dataclass(frozen=True)
class FaceRegion:
    """A face with its surroundings, uint8 RGB (REGION, REGION, 3), and its 63 points in it."""

    image: np.ndarray
    points: np.ndarray

    @property
    def face(self) -> Face:
        return Face(box_from_points(self.points), 1.0, landmarks_from_points(self.points))

    def mirrored(self) -> "FaceRegion":
        points = self.points[MIRROR] * (-1, 1) + (self.image.shape[1] - 1, 0)
        return FaceRegion(np.ascontiguousarray(self.image[:, ::-1]), points.astype(np.float32))


def cut_region(image: np.ndarray, points: np.ndarray) -> FaceRegion:
    """Cuts a face with its surroundings out of an image; ``points`` (63, 2) in the image's
    pixels."""
    rule = CropRule(box="detector", margin=SURROUNDINGS)
    x0, y0, x1, y1 = rule.square(Face(box_from_points(points), 1.0, landmarks_from_points(points)))
    scale = REGION / (x1 - x0)
    return FaceRegion(
        cut_square(image, (x0, y0, x1, y1), REGION),
        ((points - (x0, y0)) * scale).astype(np.float32),
    )


def read_regions(folder: Path, mesh: Path) -> list[FaceRegion]:
    """Every image of ``folder`` that the mesh knows, in name order, as a region."""
    points = read_mesh(mesh)
    paths = [path for path in image_files(folder) if f"{folder.name}/{path.name}" in points]
    if not paths:
        raise InputError(folder, f"no image of it stands in {mesh.name}", "check the recipe's data")
    return [cut_region(read_image(path), points[f"{folder.name}/{path.name}"]) for path in paths]


def detect_regions(folder: Path, finder: Finder) -> list[FaceRegion]:
    """The likeliest face of every image of ``folder``, in name order, its points guessed from
    five landmarks."""
    regions = []
    for path in image_files(folder):
        image = read_image(path)
        if faces := finder.predict([image])[0]:
            regions.append(cut_region(image, points_from_landmarks(faces[0].landmarks)))
    if not regions:
        raise InputError(folder, "no image of it shows a face", "check the recipe's data")
    return regions


class Pairs(Dataset):
    """Pairs of a pseudo-fake crop and its real face.

    Sample n holds both as ``images``, uint8 (2, 3, S, S), their ``labels`` (FAKE, REAL), and as
    ``blend`` the blending boundary of the fake and the region inside it, float32 (2, S / 8, S / 8)
    in 0..1.

    The same ``seed`` and n always give the same pair, in whichever process, so that a resumed run
    sees what an uninterrupted one would. ``train`` turns on mirroring, loose crops and images
    that end close to the face; ``change`` is done to both images.
    """

    def __init__(
        self,
        regions: Sequence[FaceRegion],
        rule: CropRule,
        *,
        seed: int,
        train: bool,
        change: Callable[[Sequence[np.ndarray], Generator], Sequence[np.ndarray]] = augment_alike,
    ):
        self.regions, self.rule, self.seed, self.train, self.change = (
            regions,
            rule,
            seed,
            train,
            change,
        )

    def __len__(self) -> int:
        """How many faces there are; sample numbers may go on beyond it."""
        return len(self.regions)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        rng = default_rng((self.seed, number))
        count = len(self.regions)
        place = int(rng.integers(count)) if self.train else number % count
        region = self.regions[place]
        if self.train and rng.random() < 0.5:
            region = region.mirrored()
        real, fake, mask = self_blend(region.image, region.points, rng)
        square = self.rule.square(region.face)
        x0, y0, x1, y1 = square
        if self.train:
            square = loosen(square, rng, scale=(0.9, 1.12))
            x0, y0, x1, y1 = self._ends(region, square, rng)
        # What lies beyond the crop is cut away before the changes, which take time for every pixel.
        x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, mask.shape[1]), min(y1, mask.shape[0])
        real, fake, mask = (image[y0:y1, x0:x1] for image in (real, fake, mask))
        square = (square[0] - x0, square[1] - y0, square[2] - x0, square[3] - y0)
        size = self.rule.img_size
        images = to_tensor(
            [cut_square(image, square, size) for image in self.change([fake, real], rng)]
        )
        blend = np.stack([4 * mask * (1 - mask), mask])
        blend = torch.from_numpy(
            np.stack([cut_square(part, square, size // BLEND_STRIDE) for part in blend])
        )
        return {"images": images, "labels": torch.tensor([FAKE, REAL]), "blend": blend}

    def _ends(self, region: FaceRegion, square: Square, rng: Generator) -> Square:
        """Where the image ends: at the crop's border, or for some anywhere between it and the
        face.

        Faces at the edge of an image are filled up with repeated pixels; that is no sign of a
        fake.
        """
        if rng.random() >= CUT_OFF:
            return square
        face = np.array(region.face.box)
        kept = rng.random(4) * (rng.random(4) < 0.5)  # 0: the crop's border, 1: the face's
        x0, y0, x1, y1 = (int(end) for end in np.array(square) * (1 - kept) + face * kept)
        return x0, y0, x1, y1


def to_tensor(images: Sequence[np.ndarray]) -> Tensor:
    """uint8 RGB images (S, S, 3) as one tensor (n, 3, S, S)."""
    return torch.from_numpy(np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2)))


def loosen(square: Square, rng: Generator, scale: tuple[float, float]) -> Square:
    """The square scaled and moved by up to a twentieth of its side: detectors are no surveyors."""
    x0, y0, x1, y1 = square
    side = x1 - x0
    half = side * rng.uniform(*scale) / 2
    x, y = (
        (x0 + x1) / 2 + rng.uniform(-0.05, 0.05) * side,
        (y0 + y1) / 2 + rng.uniform(-0.05, 0.05) * side,
    )
    return round(x - half), round(y - half), round(x + half), round(y + half)
