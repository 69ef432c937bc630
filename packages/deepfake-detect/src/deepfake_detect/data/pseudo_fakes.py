"""Self-blended pseudo-fakes: a face blended with a slightly altered copy of itself.

The only cues are a blending boundary and statistics that do not match, which face swaps of every
maker share, so that a detector can be trained from real faces alone. Idea: Shiohara and Yamasaki,
"Detecting Deepfakes with Self-Blended Images", CVPR 2022; the mask shapes follow Li et al., "Face
X-ray", CVPR 2020.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from deepfake_detect.data.points import BROWS, CHIN_TO_EAR, EYES, FOREHEAD, MOUTH, NOSE

BLEND_RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)
ELASTIC_STRENGTH, ELASTIC_SMOOTHNESS = 50.0, 7.0  # pixels, at a working side of about 250


def self_blend(
    image: np.ndarray, points: np.ndarray, rng: Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A real image, its pseudo-fake, and where the two were blended.

    The images are like ``image`` and share every global alteration; the third is the soft mask,
    float32 (H, W) in 0..1, before a fake that is only half blended in makes it fainter.

    ``image`` is uint8 RGB (H, W, 3) of a face that fills a third to two thirds of it; ``points``
    (63, 2) are its points as in ``points``.
    """
    source, target = image, image
    if rng.random() < 0.5:
        source = alter_statistics(image, rng)
    else:
        target = alter_statistics(image, rng)
    mask = face_mask(points, image.shape[:2], rng)
    source, mask = _shift(source, mask, rng)
    mask = soften(_distort(mask, rng), rng)
    share = rng.choice(BLEND_RATIOS) * mask[..., None]
    fake = share * source + (1 - share) * target
    return target, fake.round().astype(np.uint8), mask


def face_swap(
    image: np.ndarray,
    points: np.ndarray,
    other: np.ndarray,
    other_points: np.ndarray,
    rng: Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """``image`` with the face of ``other`` laid over its own, and the soft mask of where.

    As simple face swaps do it: an affine map between the two faces' points, and the colours' mean
    and spread carried over. Both images are uint8 RGB, the points (63, 2).
    """
    height, width = image.shape[:2]
    matrix, *_ = np.linalg.lstsq(np.c_[other_points, np.ones(len(other_points))], points)
    moved = cv2.warpAffine(
        other, matrix.T, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    inside = face_mask(points, (height, width), rng)
    moved = _carry_colours(moved, image, inside > 0)
    mask = soften(_distort(inside, rng), rng)
    fake = mask[..., None] * moved + (1 - mask[..., None]) * image
    return fake.round().astype(np.uint8), mask


def _carry_colours(image: np.ndarray, target: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """``image`` with the mean and the spread that ``target`` has ``inside`` (H, W), in Lab.

    Reinhard et al., "Color Transfer between Images", 2001.
    """
    own, wanted = (
        cv2.cvtColor(part, cv2.COLOR_RGB2LAB).astype(np.float32) for part in (image, target)
    )
    if inside.any():
        spread = wanted[inside].std(0) / np.maximum(own[inside].std(0), 1)
        own = (own - own[inside].mean(0)) * spread.clip(0.5, 2) + wanted[inside].mean(0)
    return cv2.cvtColor(own.clip(0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)


def face_mask(points: np.ndarray, size: tuple[int, int], rng: Generator) -> np.ndarray:
    """A region of the face as float32 (H, W) of 0 and 1, in one of four shapes; a quarter leave the
    forehead out."""
    if rng.random() < 0.25:
        points = np.delete(points, FOREHEAD, axis=0)
        return _fill([points], size)
    shapes: tuple[Callable[[np.ndarray], list[np.ndarray]], ...] = (
        _whole,
        _raised_brows,
        _parts,
        _halves,
    )
    return _fill(shapes[rng.integers(len(shapes))](points), size)


def _whole(points: np.ndarray) -> list[np.ndarray]:
    return [points]


def _raised_brows(points: np.ndarray) -> list[np.ndarray]:
    """Without the forehead's upper part: the hull ends half an eye's distance above the brows."""
    brows = points[BROWS]
    raised = brows - 0.5 * (points[EYES].mean(0) - brows.mean(0))
    return [np.concatenate([np.delete(points, FOREHEAD, axis=0), raised])]


def _parts(points: np.ndarray) -> list[np.ndarray]:
    """Both cheeks with the jaw, the nose, and the eyes with the brows, each for itself."""
    eyes = np.concatenate([points[EYES], points[BROWS]])
    nose = np.concatenate([points[NOSE], points[MOUTH], points[EYES][[1, 2]]])
    return [*_halves(points)[:2], nose, eyes]


def _halves(points: np.ndarray) -> list[np.ndarray]:
    """Both halves of cheek and jaw, and the nose between them."""
    nose, mouth, eyes = points[NOSE], points[MOUTH], points[EYES]
    left, right = CHIN_TO_EAR
    return [
        np.concatenate([points[left], nose, mouth[:1]]),
        np.concatenate([points[right], nose, mouth[1:]]),
        np.concatenate([nose, mouth, eyes]),
    ]


def _fill(hulls: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size, np.float32)
    for hull in hulls:
        cv2.fillConvexPoly(mask, cv2.convexHull(hull.round().astype(np.int32)), 1.0)
    return mask


def alter_statistics(image: np.ndarray, rng: Generator) -> np.ndarray:
    """A copy whose colour, light or sharpness differs a little: what a generator's own output would
    differ by."""
    altered = image.astype(np.float32)
    if rng.random() < 0.3:
        altered = altered + rng.uniform(-20, 20, 3)
    if rng.random() < 0.5:
        hsv = cv2.cvtColor(altered.clip(0, 255).astype(np.uint8), cv2.COLOR_RGB2HSV).astype(
            np.float32
        )
        hsv += rng.uniform((-4, -20, -15), (4, 20, 15))
        hsv[..., 0] %= 180
        altered = cv2.cvtColor(hsv.clip(0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB).astype(
            np.float32
        )
    contrast, brightness = rng.uniform(0.9, 1.1), rng.uniform(-0.1, 0.1) * 255
    altered = (altered - 128) * contrast + 128 + brightness
    altered = altered.clip(0, 255).astype(np.uint8)
    return _coarsen(altered, rng) if rng.random() < 0.5 else _sharpen(altered, rng)


def _coarsen(image: np.ndarray, rng: Generator) -> np.ndarray:
    height, width = image.shape[:2]
    factor = rng.choice((1.5, 2, 3, 4))
    small = cv2.resize(
        image, (int(width / factor), int(height / factor)), interpolation=cv2.INTER_NEAREST
    )
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _sharpen(image: np.ndarray, rng: Generator) -> np.ndarray:
    amount = rng.uniform(0.4, 1.5)
    return cv2.addWeighted(image, 1 + amount, cv2.GaussianBlur(image, (0, 0), 1.2), -amount, 0)


def _shift(source: np.ndarray, mask: np.ndarray, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Moves source and mask together: up to 3 % aside, 1.5 % up or down, 5 % larger or smaller."""
    height, width = mask.shape
    scale = rng.uniform(0.95, 1 / 0.95)
    x, y = rng.uniform(-0.03, 0.03) * width, rng.uniform(-0.015, 0.015) * height
    matrix = np.array(
        [[scale, 0, (1 - scale) * width / 2 + x], [0, scale, (1 - scale) * height / 2 + y]],
        np.float32,
    )
    moved = cv2.warpAffine(
        source, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return moved, cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_LINEAR)


def _distort(mask: np.ndarray, rng: Generator) -> np.ndarray:
    """An elastic deformation of the mask alone; its field is smooth, so a quarter of the resolution
    holds it."""
    height, width = mask.shape
    noise = rng.uniform(-1, 1, (2, height // 4, width // 4)).astype(np.float32)
    # Blurring divides the noise's deviation by the filter's width: the same strength needs a
    # quarter of the factor.
    fields = (
        ELASTIC_STRENGTH / 4 * cv2.GaussianBlur(field, (0, 0), ELASTIC_SMOOTHNESS / 4)
        for field in noise
    )
    x, y = (cv2.resize(field, (width, height)) for field in fields)
    columns, rows = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    return cv2.remap(mask, columns + x, rows + y, cv2.INTER_LINEAR)


def soften(mask: np.ndarray, rng: Generator) -> np.ndarray:
    """Shrinks the mask by a random width and gives it an edge of another random width; float32 in
    0..1."""
    if not mask.any():
        return mask
    height, width = mask.shape
    soft = cv2.resize(mask, (int(rng.integers(192, 257)), int(rng.integers(192, 257))))
    soft = _blur(soft, rng)
    soft = np.where(soft < soft.max() - 1e-3, 0, 1).astype(np.float32)
    soft = _blur(soft, rng)
    return cv2.resize(soft / max(float(soft.max()), 1e-6), (width, height)).clip(0, 1)


def _blur(mask: np.ndarray, rng: Generator) -> np.ndarray:
    kernel = 2 * int(rng.integers(2, 13)) + 1
    return cv2.GaussianBlur(mask, (kernel, kernel), float(rng.integers(5, 46)))
