"""Who is in an image: by their faces, by a finder of whole people, and what all finders share."""

from collections.abc import Generator, Mapping, Sequence
from typing import Protocol

import numpy as np

import vitrail.faces.detector
from pose_estimate.networks import FINDER, load_finder_network
from vitrail.detection.search import BoundedEngine, likely_rows, padded, shrink
from vitrail.engine import prepare
from vitrail.faces.find import Finder as FaceFinder
from vitrail.job import Ask, Engine

FACES = "faces"
# The body below a face, in sides of the face: how far its box begins above, how high and how wide
# it is; chosen on COCO's training people.
ABOVE, HEIGHT, WIDTH = 0.35, 8.0, 3.5
LONG_SIDE = 640  # pixels at which an image is searched
MIN_SCORE, MAX_OVERLAP = 0.3, 0.6
TOLERANCE = 0.1  # of the network's output, pixels and logits

Boxes = np.ndarray  # (n, 5): x, y, width, height in pixels of the image, score; best first


class Finder(Protocol):
    """``networks`` are the engines that ``find`` asks; ``find`` is part of a job's generator."""

    @property
    def networks(self) -> Mapping[str, Engine]: ...

    def find(self, images: Sequence[np.ndarray]) -> Generator[Ask, list, list[Boxes]]: ...


class ByFaces:
    """People whose faces are seen, by the core's face detector: to each face the box in which its
    body probably is, cut to the image."""

    def __init__(self, faces: FaceFinder):
        self.faces, self.networks = faces, faces.networks

    def find(self, images: Sequence[np.ndarray]) -> Generator[Ask, list, list[Boxes]]:
        found = yield from self.faces.find(images)
        return [
            np.array([body(face.box, face.score, image) for face in faces]).reshape(-1, 5)
            for faces, image in zip(found, images, strict=True)
        ]


def body(face: Sequence[float], score: float, image: np.ndarray) -> tuple[float, ...]:
    """Below a face (x0, y0, x1, y1): x, y, width, height and the score."""
    x0, y0, x1, y1 = face
    side, middle = float(np.sqrt((x1 - x0) * (y1 - y0))), (x0 + x1) / 2
    top, height, width = y0 - ABOVE * side, HEIGHT * side, WIDTH * side
    low = np.maximum((middle - width / 2, top), 0)
    high = np.minimum((middle + width / 2, top + height), image.shape[1::-1])
    return (*low.tolist(), *np.maximum(high - low, 1).tolist(), score)


class OwnFinder:
    """The core's detector, trained on people."""

    def __init__(self, engine: Engine, min_score: float = MIN_SCORE):
        self.networks = {FINDER: engine}
        self.min_score = min_score

    def find(self, images: Sequence[np.ndarray]) -> Generator[Ask, list, list[Boxes]]:
        """The people in uint8 RGB images (H, W, 3), searched at a long side of at most 640."""
        small = [shrink(image, LONG_SIDE) for image in images]
        rows = yield Ask(FINDER, [padded(image) for image in small])
        return [
            _boxes(likely_rows(of_image, self.min_score, MAX_OVERLAP), image, reduced)
            for of_image, image, reduced in zip(rows, images, small, strict=True)
        ]


class WholeImage:
    """Each image is one person's."""

    networks: Mapping[str, Engine] = {}

    def find(self, images: Sequence[np.ndarray]) -> Generator[Ask, list, list[Boxes]]:
        yield from ()
        return [np.array([[0, 0, *image.shape[1::-1], 1.0]], np.float64) for image in images]


def load_finder(
    spec: str = FACES,
    *,
    min_score: float | None = None,
    engine: str = "auto",
    device: str = "auto",
) -> Finder:
    """``faces``, a weights file that ``vitrail train`` wrote, or a detector of others, as
    ``vitrail.detection.others`` takes them.

    Raises InputError for a file of another kind, MissingError for one that is not there.
    """
    from pose_estimate.people.others import load_people
    from vitrail.detection.others import is_other

    if spec == FACES:
        load = vitrail.faces.detector.load_finder
        return ByFaces(load(min_score=min_score, engine=engine, device=device))
    lowest = MIN_SCORE if min_score is None else min_score
    if is_other(spec):
        return load_people(spec, lowest, device)
    ready = prepare(load_finder_network(spec), engine=engine, device=device, tolerance=TOLERANCE)
    return OwnFinder(BoundedEngine(ready), lowest)


def _boxes(rows: np.ndarray, image: np.ndarray, reduced: np.ndarray) -> Boxes:
    """Rows (n, 5) with score and corners in the reduced image as boxes of the image."""
    scale = np.array(image.shape[1::-1]) / np.array(reduced.shape[1::-1])
    corners = rows[:, 1:5].astype(np.float64).reshape(-1, 2, 2) * scale
    return np.concatenate(
        (corners[:, 0], corners[:, 1] - corners[:, 0], rows[:, :1].astype(np.float64)), axis=1
    )
