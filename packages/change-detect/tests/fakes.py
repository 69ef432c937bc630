"""Networks that need no training, and scenes that nobody photographed."""

from pathlib import Path

import numpy as np
import torch
from rasterio.transform import Affine
from torch import Tensor, nn

from change_detect.networks import WINDOW, ChangeNetwork
from vitrail.testing.rasters import write_raster

PLACE = Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)
UTM = "EPSG:32651"


class Brighter(nn.Module):
    """Sees change where the later date is brighter by more than half a deviation."""

    def __init__(self):
        super().__init__()
        self.encoder = Brightness()

    def compare(self, earlier: list[Tensor], later: list[Tensor]) -> Tensor:
        return 8 * (later[0] - earlier[0] - 0.5)


class Brightness(nn.Module):
    """Two maps of one date; counts the windows that it sees."""

    seen = 0

    def forward(self, image: Tensor) -> list[Tensor]:
        Brightness.seen += len(image)
        return [image.mean(1, keepdim=True), image]


def network(module: type[nn.Module] = Brighter, gsd: float | None = 0.5) -> ChangeNetwork:
    example = np.zeros((2, 3, WINDOW, WINDOW), np.float32)
    return ChangeNetwork(
        name="fake", build=module, example=(example, example), weights=None, threshold=0.5, gsd=gsd
    )


def town(rows: int = 300, columns: int = 340, seed: int = 0) -> np.ndarray:
    """Ground of grey levels 60 to 120, (3, rows, columns) uint8."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(60, 120, (1, 3, rows // 20 + 2, columns // 20 + 2)))
    smooth = nn.functional.interpolate(coarse, (rows, columns), mode="bilinear")[0]
    return smooth.numpy().astype(np.uint8)


def built(before: np.ndarray, *boxes: tuple[int, int, int, int]) -> np.ndarray:
    """The same with bright roofs at (top, left, bottom, right)."""
    after = before.copy()
    for top, left, bottom, right in boxes:
        after[:, top:bottom, left:right] = 230
    return after


def made(path: Path, pixels: np.ndarray, **options) -> Path:
    """A GeoTIFF of (bands, rows, columns), half a metre a pixel unless told otherwise."""
    return write_raster(path, pixels, **({"crs": UTM, "transform": PLACE} | options))


def picture(path: Path, pixels: np.ndarray, **options) -> Path:
    """The same pixels as an ordinary image."""
    from PIL import Image

    Image.fromarray(np.moveaxis(pixels, 0, -1)).save(path, **options)
    return path
