"""Whether images are the frames of one clip."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from vitrail.errors import InputError
from vitrail.preprocess.image import FORMATS, count_pages, read_image

LOOKED_AT = 8  # pairs of neighbours, so that a folder of thousands is told as quickly
THUMBNAIL = 32  # pixels
# The median correlation of neighbours' thumbnails; a clip's frames a second apart mostly had 0.92,
# with a moving camera 0.55; photographs of different people mostly 0.31 and less
ALIKE = 0.5


def are_frames_of_one_clip(images: Sequence[Path]) -> bool:
    """Whether images are of one size and each looks like the next, as frames do; photographs of
    different people do not. One that cannot be read says nothing."""
    if len(images) == 1:
        return count_pages(images[0]) == 1
    pairs = list(pairwise(images))
    chosen = np.linspace(0, len(pairs) - 1, min(LOOKED_AT, len(pairs))).astype(int)
    likeness = [alike for number in chosen if (alike := _likeness(*pairs[number])) is not None]
    sizes = {size for path in images if (size := _size(path))}
    still = all(count_pages(path) == 1 for path in {p for n in chosen for p in pairs[n]})
    return len(sizes) <= 1 and still and (not likeness or float(np.median(likeness)) >= ALIKE)


def _likeness(first: Path, second: Path) -> float | None:
    """The correlation of two images' thumbnails; None where one cannot be read."""
    try:
        one, other = _thumbnail(read_image(first)), _thumbnail(read_image(second))
    except InputError:
        return None
    if not (np.ptp(one) and np.ptp(other)):
        return float(np.array_equal(one, other))
    return float(np.corrcoef(one, other)[0, 1])


def _thumbnail(image: np.ndarray) -> np.ndarray:
    small = Image.fromarray(image).convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, np.float64).ravel()


def _size(path: Path) -> tuple[int, int] | None:
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.size
    except Exception:  # whose reader says it better
        return None
