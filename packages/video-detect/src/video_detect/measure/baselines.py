"""What needs no training: a box in the middle, and whatever moves against the ground."""

from collections.abc import Sequence

import cv2
import numpy as np

from video_detect.result import FrameRow, Object

FEATURES = 1000  # of ORB, by which the camera's motion is found
MATCHES = 12  # below which two frames are not laid over one another
CHANGE = 25  # grey levels
GAP = 2  # frames between the two that are compared
MIN_AREA = 150  # pixels of what counts as a thing that moves
MIDDLE = 0.6  # of each side


def middle_box(width: int, height: int) -> tuple[float, float, float, float]:
    """A box of the middle, (x, y, width, height)."""
    rest = (1 - MIDDLE) / 2
    return rest * width, rest * height, MIDDLE * width, MIDDLE * height


def middle_rows(images: Sequence[np.ndarray], label: str) -> list[FrameRow]:
    return [
        FrameRow(n, None, (Object(middle_box(image.shape[1], image.shape[0]), label, 1.0),))
        for n, image in enumerate(images)
    ]


def motion_rows(images: Sequence[np.ndarray], label: str) -> list[FrameRow]:
    """What differs from the frame before, once the camera's motion is taken out by a homography
    between ORB features; largest first."""
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    rows = []
    for number, image in enumerate(grey):
        other = grey[number - GAP] if number >= GAP else grey[min(number + GAP, len(grey) - 1)]
        change = cv2.absdiff(image, _laid_over(other, image))
        mask = (cv2.GaussianBlur(change, (5, 5), 0) > CHANGE).astype(np.uint8)
        border = max(4, image.shape[0] // 40)
        mask[:border], mask[-border:], mask[:, :border], mask[:, -border:] = 0, 0, 0, 0
        kernel = np.ones((image.shape[0] // 24, image.shape[0] // 24), np.uint8)
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel)
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        parts = sorted((tuple(map(float, row)) for row in stats[1:] if row[4] >= MIN_AREA),
                       key=lambda row: -row[4])  # fmt: skip
        whole = float(image.size)
        objects = (Object((x, y, w, h), label, area / whole) for x, y, w, h, area in parts)
        rows.append(FrameRow(number, None, tuple(objects)))
    return rows


def _laid_over(other: np.ndarray, image: np.ndarray) -> np.ndarray:
    """``other`` as the camera of ``image`` would have seen it, as far as that can be told."""
    orb = cv2.ORB_create(FEATURES)  # pyright: ignore[reportAttributeAccessIssue]
    (points, marks), (own, own_marks) = (orb.detectAndCompute(x, None) for x in (other, image))
    if marks is None or own_marks is None:
        return other
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(marks, own_marks)
    if len(pairs) < MATCHES:
        return other
    start = np.array([points[pair.queryIdx].pt for pair in pairs], np.float32)
    end = np.array([own[pair.trainIdx].pt for pair in pairs], np.float32)
    matrix, _ = cv2.findHomography(start, end, cv2.RANSAC, 3.0)
    if matrix is None:
        return other
    return cv2.warpPerspective(other, matrix, other.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
