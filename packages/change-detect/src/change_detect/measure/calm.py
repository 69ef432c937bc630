"""How much is called changed where nothing changed: one image against itself as another day would
show it."""

import io
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from change_detect.result import Result
from vitrail.report import Table

JPEG_QUALITY = 60


def disturbed(image: np.ndarray) -> dict[str, np.ndarray]:
    """The same ground, (H, W, 3) uint8 each, by what was done to it."""
    values = image.astype(np.float32)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return {
        "itself": image,
        "darker by 30 %": (values * 0.7).astype(np.uint8),
        "hazy": (values * 0.7 + 210 * 0.3).astype(np.uint8),
        "JPEG of quality 60": np.asarray(Image.open(buffer)),
        "1 pixel off": moved(image, 1),
        "3 pixels off": moved(image, 3),
    }


def moved(image: np.ndarray, by: int) -> np.ndarray:
    """To the right and down, the border repeated."""
    padded = np.pad(image, ((by, 0), (by, 0), (0, 0)), mode="edge")
    return padded[: image.shape[0], : image.shape[1]]


def calm_table(
    image: np.ndarray, methods: Mapping[str, Callable[[np.ndarray, np.ndarray], Result]]
) -> Table:
    """The share called changed, by disturbance and method."""
    rows = [
        (name, *(predict(image, other).share for predict in methods.values()))
        for name, other in disturbed(image).items()
    ]
    return Table("Share called changed where nothing changed", ("against", *methods), rows)
