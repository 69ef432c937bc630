"""The simple measures of quality that a network has to beat, each by the crops alone but for what
the photograph told."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from scipy.stats import rankdata

from face_quality.evaluation.matchers import Embed
from face_quality.evaluation.sets import TestSet
from vitrail.errors import plain
from vitrail.faces.detector import load_finder
from vitrail.sources import require_file

CHUNK = 64
MIRROR = "mirror agreement, dlib"


def simple_qualities(
    test: TestSet, dlib: Embed | None, ediffiqa: Path | None = None
) -> dict[str, np.ndarray]:
    """(n,) each by its name; those of dlib and eDifFIQA only where they are there."""
    rows = {
        "sharpness": np.array([sharpness(crop) for crop in test.crops]),
        "contrast": np.array([cv2.cvtColor(c, cv2.COLOR_RGB2GRAY).std() for c in test.crops]),
        "eye distance": np.linalg.norm(test.landmarks[:, 1] - test.landmarks[:, 0], axis=1),
        "frontality": _frontality(test.landmarks),
        "detector score": detector_scores(test.crops),
    }
    if dlib is not None:
        mirrored = np.ascontiguousarray(test.crops[:, :, ::-1])
        rows[MIRROR] = -np.linalg.norm(dlib(test.crops) - dlib(mirrored), axis=1)
    if ediffiqa is not None:
        rows["eDifFIQA(T)"] = ediffiqa_qualities(test.crops, ediffiqa)
    return rows


def joined(rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What is made of a whole set's ``simple_qualities``: the mean of three ranks, and chance."""
    count = len(next(iter(rows.values())))
    made = {"random": np.random.default_rng(0).random(count)}
    if MIRROR in rows:
        three = ("sharpness", "detector score", MIRROR)
        ranks = np.sum([rankdata(rows[name]) for name in three], axis=0)
        made = {"mean of the ranks of three": ranks} | made
    return made


def ediffiqa_qualities(crops: np.ndarray, path: Path) -> np.ndarray:
    """By the network of Babnik et al. 2024, which takes crops (n, 112, 112, 3) as RGB in -1..1."""
    with plain(path, "is not an ONNX file that OpenCV reads", "give ediffiqa_tiny_jun2024.onnx"):
        network = cv2.dnn.readNetFromONNX(str(require_file(path)))
    qualities = []
    for crop in crops:
        network.setInput((crop.transpose(2, 0, 1)[None] / 127.5 - 1).astype(np.float32))
        qualities.append(float(network.forward().squeeze()))
    return np.array(qualities)


def sharpness(crop: np.ndarray) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.CV_32F).var())


def _frontality(landmarks: np.ndarray) -> np.ndarray:
    """Minus the nose's distance from the middle of the eyes, sideways, in eye distances."""
    left, right, nose = landmarks[:, 0], landmarks[:, 1], landmarks[:, 2]
    across = right - left
    off = ((nose - (left + right) / 2) * across).sum(axis=1) / (across**2).sum(axis=1)
    return -np.abs(off)


def detector_scores(crops: np.ndarray) -> np.ndarray:
    """The best face's score in each crop; 0 without one."""
    finder = load_finder(engine="openvino", min_score=0.05)
    scores = []
    for start in range(0, len(crops), CHUNK):
        for faces in finder.predict(list(crops[start : start + CHUNK])):
            scores.append(max((face.score for face in faces), default=0.0))
    return np.array(scores)
