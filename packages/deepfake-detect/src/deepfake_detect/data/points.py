"""The 63 points of a face from which pseudo-fakes take their masks: outline, brows, eyes, nose tip,
mouth corners.

Every list runs from the image's left to its right, the outline clockwise from the middle of the
forehead.
"""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np

from vitrail.errors import InputError

OVAL = np.arange(36)
FOREHEAD = np.concatenate([np.arange(7), np.arange(30, 36)])
CHIN_TO_EAR = (np.arange(18, 29), np.arange(8, 19))  # image-left, image-right
BROWS = np.arange(36, 56)
EYES = np.arange(56, 60)
NOSE = np.array([60])
MOUTH = np.array([61, 62])
MIRROR = np.concatenate(
    [-OVAL % 36, BROWS.reshape(2, 10)[::-1].ravel(), EYES[::-1], NOSE, MOUTH[::-1]]
)

BOX_MARGINS = (
    0.0,
    0.117,
    0.0,
    0.0,
)  # left, top, right, bottom, of the outline's size: medians over 300 faces

_MESH_GROUPS = (
    "face_oval_in_order", "right_brow", "left_brow", "right_eye_corner_outer",
    "right_eye_corner_inner", "left_eye_corner_inner", "left_eye_corner_outer",
    "nose_tip", "mouth_right", "mouth_left",
)  # fmt: skip


def read_mesh(description: Path) -> dict[str, np.ndarray]:
    """Points (63, 2) in pixels by file name, from the description of a face mesh and the ``.npz``
    that it names."""
    try:
        mesh = json.loads(description.read_text())
        with np.load(description.with_name(mesh["file"])) as arrays:
            files_, points = arrays["files"], arrays["xy_times_32"].astype(np.float32) / 32
        chosen = np.concatenate([np.atleast_1d(mesh["groups"][group]) for group in _MESH_GROUPS])
        return dict(zip(files_.tolist(), points[:, chosen], strict=True))
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise InputError(
            description, f"is not a face mesh ({error})", "see the recipe's notes"
        ) from error


def points_from_landmarks(landmarks: np.ndarray) -> np.ndarray:
    """Points (63, 2) guessed from a detector's five landmarks: an average face, laid over them."""
    mean = _mean_face()
    matrix, _ = cv2.estimateAffinePartial2D(
        landmarks_from_points(mean), np.asarray(landmarks, np.float32)
    )
    return cv2.transform(mean[None], matrix)[0]


def landmarks_from_points(points: np.ndarray) -> np.ndarray:
    """The detector's five landmarks (5, 2): both eyes, nose tip, both mouth corners."""
    eyes = points[EYES].reshape(2, 2, 2).mean(1)
    return np.concatenate([eyes, points[NOSE], points[MOUTH]]).astype(np.float32)


def box_from_points(points: np.ndarray) -> tuple[float, float, float, float]:
    """The box that the detector would draw round the face."""
    low, high = points[OVAL].min(0), points[OVAL].max(0)
    size = high - low
    left, top, right, bottom = BOX_MARGINS
    (x0, y0), (x1, y1) = low - size * (left, top), high + size * (right, bottom)
    return float(x0), float(y0), float(x1), float(y1)


@cache
def _mean_face() -> np.ndarray:
    """(63, 2): the median over 1,400 people, each turned and scaled to the same eyes, nose and
    mouth."""
    return np.array(
        json.loads(files("deepfake_detect.data").joinpath("mean_face.json").read_text()), np.float32
    )
