"""Faces of clips as training samples, beside those of photographs."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.random import Generator, default_rng
from torch import Tensor
from torch.utils.data import Dataset

from deepfake_detect.data import REGION, SURROUNDINGS, FaceRegion, Pairs, loosen, to_tensor
from deepfake_detect.data.augment import augment_alike
from deepfake_detect.data.clips import CutFace
from deepfake_detect.data.labelled import Labelled
from deepfake_detect.data.pseudo_fakes import face_swap, self_blend
from deepfake_detect.decide.crops import CropRule, cut_square
from deepfake_detect.model import FAKE, REAL
from vitrail.preprocess.image import read_image

PSEUDO = 0.4  # share of the pairs of clips whose fake is made of the real clip's own face
SWAP = 0.4  # of those: another person's face in its place; the rest are blended with themselves


class ClipPairs(Dataset):
    """Pairs of a fake and a real face of clips; of other clips, other people, or the same face.

    Sample n holds ``images``, uint8 (2, 3, S, S), ``labels`` (FAKE, REAL), and ``clips`` (2,), the
    number of the clip that each shows. ``train`` draws generators and people equally often, however
    many clips each has, makes some of the fakes of the real face itself, and changes both images
    alike, so that neither their size nor a codec tells the label; otherwise the nth pair is the nth
    face of each label, as it is.
    """

    def __init__(
        self,
        clips: Sequence[tuple[Labelled, Sequence[CutFace]]],
        rule: CropRule,
        *,
        seed: int,
        train: bool,
    ):
        self.clips, self.rule, self.seed, self.train = clips, rule, seed, train
        self.groups: tuple[dict[str, dict[str, list[int]]], ...] = ({}, {})
        self.faces: tuple[list[tuple[int, CutFace]], ...] = ([], [])
        for number, (clip, faces) in enumerate(clips):
            people = self.groups[clip.label].setdefault(clip.kind, {})
            people.setdefault(clip.group, []).append(number)
            self.faces[clip.label].extend((number, face) for face in faces)

    def __len__(self) -> int:
        """How many pairs show every face; the smaller label's faces are shown again."""
        return max(map(len, self.faces))

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        if not self.train:
            chosen = [self.faces[label][number % len(self.faces[label])] for label in (FAKE, REAL)]
            images = [self._plain(face) for _, face in chosen]
            return self._sample(images, [clip for clip, _ in chosen])
        rng = default_rng((self.seed, number))
        clip, face = self._draw(REAL, rng)
        if rng.random() < PSEUDO:
            other = self._draw(REAL, rng)[1].region() if rng.random() < SWAP else None
            real, fake = self._pseudo(face.region(), other, rng)
            pair, clips = [fake, real], [clip, clip]
        else:
            made, false = self._draw(FAKE, rng)
            pair, clips = [self._loose(one, rng) for one in (false, face)], [made, clip]
        return self._sample(augment_alike(pair, rng), clips)

    def _draw(self, label: int, rng: Generator) -> tuple[int, CutFace]:
        kinds = list(self.groups[label].values())
        people = list(kinds[rng.integers(len(kinds))].values())
        of_one = people[rng.integers(len(people))]
        number = of_one[rng.integers(len(of_one))]
        faces = self.clips[number][1]
        return number, faces[int(rng.integers(len(faces)))]

    def _pseudo(
        self, region: FaceRegion, other: FaceRegion | None, rng: Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        if rng.random() < 0.5:
            region = region.mirrored()
        if other is None:
            real, fake, _ = self_blend(region.image, region.points, rng)
        else:
            real = region.image
            fake, _ = face_swap(real, region.points, other.image, other.points, rng)
        square = loosen(self._square(REGION), rng, scale=(0.9, 1.12))
        side = self.rule.img_size
        return cut_square(real, square, side), cut_square(fake, square, side)

    def _loose(self, face: CutFace, rng: Generator) -> np.ndarray:
        image = read_image(face.path)
        if rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
        square = loosen(self._square(image.shape[0]), rng, scale=(0.9, 1.12))
        return cut_square(image, square, self.rule.img_size)

    def _plain(self, face: CutFace) -> np.ndarray:
        image = read_image(face.path)
        return cut_square(image, self._square(image.shape[0]), self.rule.img_size)

    def _square(self, side: int) -> tuple[int, int, int, int]:
        """The part of a cut face of ``side`` pixels that the network is to see."""
        edge = round(side * (SURROUNDINGS - self.rule.margin) / (1 + 2 * SURROUNDINGS))
        return edge, edge, side - edge, side - edge

    def _sample(self, images: Sequence[np.ndarray], clips: Sequence[int]) -> dict[str, Tensor]:
        return {
            "images": to_tensor(images),
            "labels": torch.tensor([FAKE, REAL]),
            "clips": torch.tensor(clips),
        }


class Mixed(Dataset):
    """Pairs of photographs and, with the chance ``share``, of clips; a photograph's clip is -1."""

    def __init__(self, photographs: Pairs, clips: ClipPairs, share: float):
        self.photographs, self.clips, self.share = photographs, clips, share

    def __len__(self) -> int:
        return len(self.photographs) + len(self.clips)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        if default_rng((self.clips.seed, number, 1)).random() < self.share:
            return self.clips[number]
        return photograph_pair(self.photographs, number)


class Joined(Dataset):
    """``repeats`` pairs of every photograph, then every pair of the clips."""

    def __init__(self, photographs: Pairs, repeats: int, clips: ClipPairs):
        self.photographs, self.clips = photographs, clips
        self.first = repeats * len(photographs)

    def __len__(self) -> int:
        return self.first + len(self.clips)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        if number < self.first:
            return photograph_pair(self.photographs, number)
        return self.clips[number - self.first]


def photograph_pair(pairs: Pairs, number: int) -> dict[str, Tensor]:
    """A pair of photographs as a sample beside those of clips."""
    sample = pairs[number]
    return {
        "images": sample["images"],
        "labels": sample["labels"],
        "clips": torch.full_like(sample["labels"], -1),
    }
