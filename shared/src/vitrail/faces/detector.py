"""The bundled face detector, and the door to all others."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vitrail.detection.search import BoundedEngine, likely_rows, padded
from vitrail.engine import prepare
from vitrail.faces import others
from vitrail.faces.face import Face
from vitrail.faces.find import DETECTOR, Finder, Found
from vitrail.faces.looks import LANDMARKER, sharpen
from vitrail.faces.networks import load_networks
from vitrail.job import Ask, Engine

MIN_SCORE, MAX_OVERLAP = 0.5, 0.4
# What lowers a score: exp(-RESTLESS * how far landmarks move at a third and fourth look, in sides)
RESTLESS = 15.0
# Of heads that fill the image, grey and enlarged ones too, 96 of 100 and more reach CERTAIN_LARGE;
# in photographs without people nothing did (0.51 the most). Smaller things that look like faces
# reach more.
CERTAIN, CERTAIN_LARGE = 0.65, 0.55
LARGE = 0.3  # of the image's shorter side, from which on a face fills it
# Of the networks' output, pixels and logits: a float32 of another order of summation keeps to it
TOLERANCES = {DETECTOR: 0.1, LANDMARKER: 0.02}


class Detector(Finder):
    """Our own networks. ``min_score`` is the lowest score of a face."""

    def __init__(self, networks: Mapping[str, Engine], min_score: float = MIN_SCORE):
        super().__init__(networks)
        self.min_score = min_score

    def certain(self, share: float) -> float:
        return CERTAIN_LARGE if share >= LARGE else CERTAIN

    def search(self, images: Sequence[np.ndarray]) -> Found:
        rows = yield Ask(DETECTOR, [padded(image) for image in images])
        rough = [read_faces(of_image, self.min_score) for of_image in rows]
        return (yield from self._pointed(images, rough))

    def _pointed(self, images: Sequence[np.ndarray], found: Sequence[list[Face]]) -> Found:
        """The faces with exact landmarks; where these will not settle there is hardly a face, and
        the score falls."""
        faces = [face for of_image in found for face in of_image]
        shown = [image for image, of_image in zip(images, found, strict=True) for _ in of_image]
        exact = yield from sharpen(shown, [face.landmarks for face in faces])
        again = yield from sharpen(shown, exact)
        settled = map(_settled, faces, exact, again)
        pointed = [[next(settled) for _ in of_image] for of_image in found]
        return [
            sorted(
                (face for face in of_image if face.score >= self.min_score),
                key=lambda face: -face.score,
            )
            for of_image in pointed
        ]


def _settled(face: Face, before: np.ndarray, landmarks: np.ndarray) -> Face:
    moved = np.linalg.norm(landmarks - before, axis=1).mean() / face.size
    return replace(face, landmarks=landmarks, score=float(face.score * np.exp(-RESTLESS * moved)))


def read_faces(rows: np.ndarray, min_score: float) -> list[Face]:
    """The faces, best first, in the network's output (N, 15) for one image, whose scores are
    logits; of overlapping ones the best is kept."""
    return [Face.of(row) for row in likely_rows(rows, min_score, MAX_OVERLAP)]


def load_finder(
    spec: str = "bundled",
    *,
    min_score: float | None = None,
    engine: str = "auto",
    device: str = "auto",
) -> Finder:
    """``bundled``, ``dlib``, a weights file that ``vitrail train`` wrote, or a YuNet model file
    (.onnx).

    ``min_score`` is the lowest score of a face, where dlib does not choose it; ``engine`` and
    ``device`` say where our own networks run. Raises InputError for a file of another kind,
    MissingError for one that is not there, or without the library dlib.
    """
    if spec == "dlib":
        return Finder({DETECTOR: others.Hog()})
    if Path(spec).suffix.lower() == ".onnx":
        return Finder({DETECTOR: others.YuNet(Path(spec), min_score or others.MIN_SCORE)})
    networks: dict[str, Engine] = {}
    for network in load_networks(() if spec == "bundled" else [spec]):
        tolerance = TOLERANCES[network.name]
        ready = prepare(network, engine=engine, device=device, tolerance=tolerance)
        networks[network.name] = BoundedEngine(ready) if network.name == DETECTOR else ready
    return Detector(networks, MIN_SCORE if min_score is None else min_score)
