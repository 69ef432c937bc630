"""A result as people look at it: 8-bit greys, axes towards right, front and top, one colour a
label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medical_segment.preprocess import turned, turns
from medical_segment.result import Result

# Okabe and Ito's colours, which most people can tell apart, then evenly spaced hues.
COLOURS = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0),
    (0, 114, 178),
)  # fmt: skip
PERCENTILES = (0.5, 99.5)
SAMPLE = 1_000_000  # voxels that the greys are judged by


@dataclass(frozen=True)
class Shown:
    """``image`` uint8 (X, Y, Z, 1 or 3) and ``labels`` uint8 (X, Y, Z): 0, or the place in
    ``names`` from 1.

    A scan's axes run to the patient's right, front and top; an image's are columns, rows from the
    top, pages. ``spacing`` is a voxel's size along them.
    """

    image: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]
    names: tuple[str, ...]
    is_image: bool


def shown(result: Result) -> Shown:
    """The first channel of a scan, or the colours of an image, with the labels over it."""
    labels, names = _numbered(result)
    data = result.volume.data
    if result.is_image:
        data = data if len(data) == 3 else data[:1]
        image = _to_bytes(np.moveaxis(data, 0, -1))
        image, labels = (image[None], labels[None]) if labels.ndim == 2 else (image, labels)
        return Shown(
            image.transpose(2, 1, 0, 3), labels.transpose(2, 1, 0), (1.0, 1.0, 1.0), names, True
        )
    image = data[0]
    if image.ndim == 2:
        image, labels = image[..., None], labels[..., None]
    turn = turns(result.volume.affine, "RAS")
    image, labels = (turned(part[None], turn)[0] for part in (image, labels))
    spacing = np.linalg.norm(result.volume.affine[:3, :3], axis=0)[np.argsort(turn[:, 0])]
    x, y, z = map(float, spacing)
    return Shown(_to_bytes(image[..., None]), labels, (x, y, z), names, False)


def colours(count: int) -> list[tuple[int, int, int]]:
    """``count`` colours that differ."""
    from colorsys import hsv_to_rgb

    more = [hsv_to_rgb((n * 0.618) % 1, 0.65, 0.95) for n in range(max(0, count - len(COLOURS)))]
    return [
        *COLOURS[:count],
        *((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in more),
    ]


def _numbered(result: Result) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels as 1, 2, … in the order of the structures; objects, which are many, take turns."""
    if result.instances is not None:
        numbers = result.instances.astype(np.int64)
        # Neighbours should differ, and hundreds of hues would not.
        return np.where(numbers > 0, (numbers - 1) % len(COLOURS) + 1, 0).astype(np.uint8), ()
    table = np.zeros(int(max(result.plan.values)) + 1, np.uint8)
    structures = result.structures
    for place, structure in enumerate(structures[:255], start=1):
        table[structure.value] = place
    return table[result.labels], tuple(structure.name for structure in structures)


def _to_bytes(image: np.ndarray) -> np.ndarray:
    """Any numbers as 0..255: bytes as they are, the rest between two percentiles."""
    if image.dtype == np.uint8 and image.shape[-1] == 3:
        return image
    values = image.ravel()
    # A few voxels of metal or flow would leave the rest black.
    low, high = np.percentile(
        values[:: max(1, values.size // SAMPLE)].astype(np.float32), PERCENTILES
    )
    if high <= low:
        low, high = float(values.min()), float(values.max())
    scale = 255 / (high - low) if high > low else 0.0
    return ((np.clip(image.astype(np.float32), low, high) - low) * scale).round().astype(np.uint8)


def blend(
    image: np.ndarray, labels: np.ndarray, palette: Sequence[tuple[int, int, int]], opacity: float
) -> np.ndarray:
    """uint8 (…, 3) from greys or colours (…, 1 or 3) and labels (…) 0, 1, …"""
    base = np.broadcast_to(image, (*image.shape[:-1], 3)).astype(np.float32)
    table = np.array([(0, 0, 0), *palette], np.float32)
    share = np.where(labels > 0, opacity, 0.0)[..., None]
    return (base * (1 - share) + table[labels] * share).round().astype(np.uint8)
