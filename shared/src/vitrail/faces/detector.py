"""The bundled face detector, and the door to all others."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vitrail.errors import InputError
from vitrail.faces import system
from vitrail.faces.base import Detector
from vitrail.faces.face import Face
from vitrail.faces.landmarker import FaceModel, sharpen
from vitrail.faces.model import STRIDES, Config, ConvNormAct
from vitrail.preprocess.boxes import nms
from vitrail.weights.catalogue import resolve
from vitrail.weights.files import load_into, read_state

__all__ = ["Detector", "Face", "FaceDetector", "load_detector"]

MIN_SCORE, MAX_OVERLAP = 0.5, 0.4
# What lowers a score: exp(-RESTLESS * how far landmarks move at a third and fourth look, in sides)
RESTLESS = 15.0
# Three of four faces of strangers reach it in a single picture, hardly anything else ever does
CERTAIN = 0.7
BATCH = 8  # pictures of 640 x 640 that are searched at once
BUNDLED = "detector"


class FaceDetector(Detector):
    """Our own network. ``min_score`` is the lowest score of a face, ``sha256`` the checksum of the
    weights."""

    certain = CERTAIN

    def __init__(self, model: FaceModel, *, min_score: float = MIN_SCORE, sha256: str = ""):
        self.model = fold_norms(model.train(False)).to(memory_format=torch.channels_last)
        self.min_score, self.sha256 = min_score, sha256

    def search(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        found: list[list[Face]] = [[] for _ in images]
        alike = defaultdict(list)
        for number, image in enumerate(images):
            alike[padded_size(image)].append(number)
        for (height, width), numbers in alike.items():
            step = max(BATCH * 640 * 640 // (height * width), 1)
            for at in range(0, len(numbers), step):
                some = numbers[at : at + step]
                batch = np.stack([pad(images[number], (height, width)) for number in some])
                for number, faces in zip(
                    some, self._faces(torch.from_numpy(batch).movedim(-1, 1)), strict=True
                ):
                    found[number] = self._pointed(images[number], faces)
        return found

    def _faces(self, batch: Tensor) -> list[list[Face]]:
        with torch.inference_mode():
            return [read_faces(rows, self.min_score) for rows in self.model.finder(batch.float())]

    def _pointed(self, image: np.ndarray, faces: list[Face]) -> list[Face]:
        """The faces with exact landmarks; where these will not settle there is hardly a face, and
        the score falls."""
        exact = sharpen(self.model.landmarker, image, [face.landmarks for face in faces])
        again = sharpen(self.model.landmarker, image, exact)
        pointed = [_settled(*found) for found in zip(faces, exact, again, strict=True)]
        return sorted(
            (face for face in pointed if face.score >= self.min_score), key=lambda face: -face.score
        )


def _settled(face: Face, before: np.ndarray, landmarks: np.ndarray) -> Face:
    moved = np.linalg.norm(landmarks - before, axis=1).mean() / face.size
    return replace(face, landmarks=landmarks, score=float(face.score * np.exp(-RESTLESS * moved)))


def padded_size(image: np.ndarray) -> tuple[int, int]:
    """Height and width, rounded up to multiples of the coarsest stride."""
    height, width = image.shape[:2]
    coarsest = STRIDES[-1]
    return -(-height // coarsest) * coarsest, -(-width // coarsest) * coarsest


def pad(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture with grey below and to the right, of ``size`` (H, W)."""
    padded = np.full((*size, 3), 128, np.uint8)
    padded[: image.shape[0], : image.shape[1]] = image
    return padded


def read_faces(rows: Tensor, min_score: float) -> list[Face]:
    """The faces, best first, in the network's output (N, 15) for one picture; of overlapping ones
    the best is kept."""
    scores = rows[:, 0].sigmoid()
    likely = scores >= min_score
    rows, scores = rows[likely], scores[likely]
    kept = nms(rows[:, 1:5].numpy(), scores.numpy(), MAX_OVERLAP)
    return [
        Face(tuple(row[1:5].tolist()), score, row[5:].reshape(5, 2).numpy())
        for row, score in zip(rows[kept], scores[kept].tolist(), strict=True)
    ]


def fold_norms(model: nn.Module) -> nn.Module:
    """Puts each batch norm into the convolution before it: the same numbers in fewer steps. Changes
    ``model``."""
    for module in model.modules():
        if isinstance(module, ConvNormAct) and isinstance(module[1], nn.BatchNorm2d):
            module[0], module[1] = fuse_conv_bn_eval(module[0], module[1]), nn.Identity()
    return model


def load_detector(spec: str = "bundled") -> Detector:
    """``bundled``, ``dlib``, a weight file that ``vitrail train`` wrote, or a YuNet model file
    (.onnx).

    Raises InputError for a file of another kind, MissingError for one that is not there, or without
    the library dlib.
    """
    if spec == "dlib":
        from vitrail.faces.hog import Hog

        return Hog()
    if Path(spec).suffix.lower() == ".onnx":
        from vitrail.faces.yunet import YuNet

        return YuNet(Path(spec))
    weights = resolve(system, BUNDLED if spec == "bundled" else spec)
    state, metadata = read_state(weights.path)
    model = FaceModel(_config(metadata.get("config"), weights.path))
    load_into(model, state, subject=weights.path)
    return FaceDetector(model, sha256=weights.sha256)


def _config(config: object, path: Path) -> Config:
    """The network's sizes as they stand in a weight file."""
    try:
        return Config(
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in config.items()
            }
        )
    except (AttributeError, TypeError) as error:
        raise InputError(
            path, "holds no face detector", "use a file that 'vitrail train' wrote"
        ) from error
