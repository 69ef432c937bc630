"""How a network's figures fall as the images get worse."""

from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np

from deepfake_detect.data import FaceRegion
from deepfake_detect.data.augment import jpeg, recompress
from deepfake_detect.measure.figures import measures
from deepfake_detect.measure.held_out import Change, pseudo_faces, score
from deepfake_detect.model import FAKE
from deepfake_detect.networks import FakeNetwork
from vitrail.report import Chart, Series, Table

AS_MADE = "none"
COLUMNS = (
    "change to all images",
    "strength",
    "AUC",
    "from",
    "to",
    "mean P(fake) of real",
    "real called FAKE",
)


def rescale(image: np.ndarray, part: float) -> np.ndarray:
    """The image made smaller, to ``part`` of its sides, and large again."""
    height, width = image.shape[:2]
    small = cv2.resize(
        image, (round(width * part), round(height * part)), interpolation=cv2.INTER_AREA
    )
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), sigma)


CHANGES: dict[str, tuple[Callable[..., np.ndarray], tuple[float, ...]]] = {
    "JPEG quality": (jpeg, (15, 30, 50, 70, 90)),
    "H.264 rate factor (CRF)": (recompress, (18, 23, 30, 35, 40)),
    "scale": (rescale, (0.25, 0.35, 0.5, 0.75)),
    "blur, pixels": (blur, (0.5, 1.0, 1.5, 2.0, 3.0)),
}


def robustness(network: FakeNetwork, regions: Sequence[FaceRegion]) -> list[Table | Chart]:
    """Pseudo-fakes and real faces of ``regions``, all changed alike, in rising strengths; a chart
    for each change."""
    rows = [(AS_MADE, None, *_figures(network, regions, lambda image: image))]
    charts = []
    for name, (change, strengths) in CHANGES.items():
        figures = [
            _figures(network, regions, partial(_apply, change, strength)) for strength in strengths
        ]
        rows += [(name, strength, *row) for strength, row in zip(strengths, figures, strict=True)]
        auc, *_, called_fake = zip(*figures, strict=True)
        series = [
            Series("AUC", strengths, auc),
            Series("share of real faces called FAKE", strengths, called_fake),
        ]
        charts.append(Chart(f"Robustness: {name}", series, x_label=name, y_range=(0, 1)))
    return [Table("Pseudo-fakes in images that get worse", COLUMNS, rows), *charts]


def _apply(change: Callable, strength: float, image: np.ndarray) -> np.ndarray:
    return change(image, strength)


def _figures(
    network: FakeNetwork, regions: Sequence[FaceRegion], change: Change
) -> tuple[float, ...]:
    faces = pseudo_faces(regions, network.crop, change)
    scores = score(network, faces.images)
    auc, low, high, *_ = measures(scores, faces.labels, faces.groups)
    real = scores[faces.labels != FAKE]
    return auc, low, high, float(real.mean()), float(np.mean(real >= network.thresholds.fake_above))
