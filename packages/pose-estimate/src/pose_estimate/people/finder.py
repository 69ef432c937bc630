"""Who is in an image: by a finder of whole people, and what all finders share."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from pose_estimate.networks import FINDER, Search, load_finder_network
from vitrail.detection.search import BoundedEngine, likely_rows, padded, shrink
from vitrail.engine import prepare
from vitrail.job import Ask, Engine

PEOPLE = "people"  # the bundled finder
OTHERS_MIN_SCORE = 0.3  # of detectors of others, where none is asked for
MAX_OVERLAP = 0.5
TOLERANCE = 0.1  # of the network's output, pixels and logits

Boxes = np.ndarray  # (n, 5): x, y, width, height in pixels of the image, score; best first


class Finder(Protocol):
    """``networks`` are the engines that ``find`` asks; ``find`` is part of a job's generator."""

    @property
    def networks(self) -> Mapping[str, Engine]: ...

    def find(self, images: Sequence[np.ndarray]) -> Generator[Ask, list, list[Boxes]]: ...


class OwnFinder:
    """The core's detector, trained on people."""

    def __init__(self, engine: Engine, search: Search = Search()):
        self.networks = {FINDER: engine}
        self.search = search

    def find(self, images: Sequence[np.ndarray]) -> Generator[Ask, list, list[Boxes]]:
        """The people in uint8 RGB images (H, W, 3)."""
        small = [shrink(image, self.search.long_side) for image in images]
        rows = yield Ask(FINDER, [padded(image) for image in small])
        return [
            _boxes(likely_rows(of_image, self.search.min_score, MAX_OVERLAP), image, reduced)
            for of_image, image, reduced in zip(rows, images, small, strict=True)
        ]


class WholeImage:
    """Each image is one person's."""

    networks: Mapping[str, Engine] = {}

    def find(self, images: Sequence[np.ndarray]) -> Generator[Ask, list, list[Boxes]]:
        yield from ()
        return [np.array([[0, 0, *image.shape[1::-1], 1.0]], np.float64) for image in images]


def load_finder(
    spec: str = PEOPLE,
    *,
    min_score: float | None = None,
    engine: str = "auto",
    device: str = "auto",
) -> Finder:
    """``people``, a weights file that ``vitrail train`` wrote, or a detector of others, as
    ``vitrail.detection.others`` takes them; ``min_score`` None is what comes with the file.

    Raises InputError for a file of another kind, MissingError for one that is not there.
    """
    from pose_estimate.people.others import load_people
    from vitrail.detection.others import is_other

    if is_other(spec):
        lowest = OTHERS_MIN_SCORE if min_score is None else min_score
        return load_people(spec, lowest, device)
    network = load_finder_network(spec)
    search = network.search if min_score is None else replace(network.search, min_score=min_score)
    ready = prepare(network, engine=engine, device=device, tolerance=TOLERANCE)
    return OwnFinder(BoundedEngine(ready), search)


def _boxes(rows: np.ndarray, image: np.ndarray, reduced: np.ndarray) -> Boxes:
    """Rows (n, 5) with score and corners in the reduced image as boxes of the image."""
    scale = np.array(image.shape[1::-1]) / np.array(reduced.shape[1::-1])
    corners = rows[:, 1:5].astype(np.float64).reshape(-1, 2, 2) * scale
    return np.concatenate(
        (corners[:, 0], corners[:, 1] - corners[:, 0], rows[:, :1].astype(np.float64)), axis=1
    )
