"""What recognises the test people: our own embedding, dlib's, and a linear one that nobody here
taught."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from face_quality.networks import QualityNetwork
from face_quality.training.teacher import chips, read_teacher
from vitrail.engine import Network, prepare

BATCH = 32
COMPONENTS = 200
Embed = Callable[[np.ndarray], np.ndarray]  # crops uint8 (n, 112, 112, 3) to vectors (n, D)


def rows_of(network: QualityNetwork, crops: np.ndarray) -> np.ndarray:
    """(n, 1) qualities, or (n, 1 + D) with the embedding, in float32 by PyTorch: figures must not
    hang on what another machine's converter rounds."""
    engine = prepare(network, engine="eager", device="cpu")
    return _in_batches(lambda part: np.asarray(engine(part)), crops.transpose(0, 3, 1, 2))


def dlib_matcher(path: Path) -> Embed:
    """Embeddings (n, 128) whose distances tell people apart."""
    example = np.zeros((2, 3, 150, 150), np.uint8)
    network = Network("dlib", partial(read_teacher, path), example, None)
    engine = prepare(network, engine="openvino", device="cpu")
    return lambda crops: _in_batches(lambda part: np.asarray(engine(chips(part))), crops)


def linear_matcher(crops: np.ndarray, people: np.ndarray) -> Embed:
    """Equalised grey pixels, whitened by PCA, then LDA, fitted on other people's crops."""
    pixels = _grey(crops)
    count = min(COMPONENTS, len(pixels) - 1)
    white = PCA(count, whiten=True, random_state=0).fit(pixels)
    classes = LinearDiscriminantAnalysis().fit(white.transform(pixels), people)
    return lambda images: _unit(classes.transform(white.transform(_grey(images))))


def similarities(vectors: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(p,) of pairs (p, 2): minus the distance between vectors (n, D)."""
    return -np.linalg.norm(vectors[pairs[:, 0]] - vectors[pairs[:, 1]], axis=1)


def _in_batches(compute: Embed, items: np.ndarray) -> np.ndarray:
    parts = [compute(items[at : at + BATCH]) for at in range(0, len(items), BATCH)]
    return np.concatenate(parts)


def _grey(crops: np.ndarray) -> np.ndarray:
    small = (cv2.resize(crop, (40, 48), interpolation=cv2.INTER_AREA) for crop in crops)
    grey = [cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)).ravel() for image in small]
    return np.array(grey, np.float32) / 255


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
