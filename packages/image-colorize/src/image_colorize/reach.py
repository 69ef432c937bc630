"""Where and how far the last hint changed an image, and what the network looked at for it."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from image_colorize.result import Result
from image_colorize.scores import NOTICEABLE
from image_colorize.seen import cell_of, network_input
from vitrail.errors import InputError

TINT = (255, 0, 255)
STRONG = 40.0  # distance of two colours that is drawn in full


@dataclass(frozen=True)
class Reach:
    """``distance`` (S, S) between the colours without and with the last hint, in Lab; ``side`` is
    S. ``mean`` and ``farthest`` tell how far from the hint they differ noticeably, as shares of the
    side; ``share`` how much of the image."""

    distance: np.ndarray
    share: float
    mean: float
    farthest: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "changed": round(self.share, 4),
            "mean_distance": round(self.mean, 4),
            "farthest": round(self.farthest, 4),
        }


def reach_of(before: Result, after: Result, shape: Any) -> Reach:
    """From two results of one image that differ by the last hint; InputError without hints."""
    if not after.placed or before.chroma is None or after.chroma is None:
        raise InputError(after.source, "has no hint whose reach could be told", "give --hints")
    distance = np.hypot(*np.moveaxis(after.chroma - before.chroma, -1, 0))
    rows, columns = np.nonzero(distance > NOTICEABLE)
    rows_of, columns_of = cell_of(after.placed[-1], shape)
    centre = (rows_of.start + rows_of.stop) / 2, (columns_of.start + columns_of.stop) / 2
    away = np.hypot(rows + 0.5 - centre[0], columns + 0.5 - centre[1]) / len(distance)
    mean, farthest = (float(away.mean()), float(away.max())) if away.size else (0.0, 0.0)
    return Reach(distance, rows.size / distance.size, mean, farthest)


def attended(network: Any, result: Result) -> np.ndarray:
    """How much each place (S, S) drew on the last hint's patch, from the least, 0, to the most, 1:
    attention rolled out through the blocks. Takes the network itself, which PyTorch runs."""
    import torch

    shape, module = network.shape, network.module
    planes = network_input(result.seen.lightness, result.placed, shape)
    with torch.no_grad():
        flow = module.rollout(torch.from_numpy(planes)[None])[0].numpy()
    patch, grid = module.config.patch_size, module.config.grid
    rows, columns = cell_of(result.placed[-1], shape)
    token = rows.start // patch * grid + columns.start // patch
    drawn = flow[:, token].reshape(grid, grid)
    drawn = (drawn - drawn.min()) / max(float(np.ptp(drawn)), 1e-12)  # all draw a little on all
    return cv2.resize(drawn, (shape.image_size,) * 2, interpolation=cv2.INTER_LINEAR)


def overlay(result: Result, strength: np.ndarray) -> np.ndarray:
    """The coloured image (H, W, 3) uint8 under a tint of ``strength`` (S, S) in 0..1."""
    rgb = result.rgb()
    rgb = rgb if rgb.dtype == np.uint8 else (rgb // 257).astype(np.uint8)
    height, width = rgb.shape[:2]
    share = cv2.resize(strength.astype(np.float32), (width, height))[..., None] * 0.75
    return np.rint(rgb * (1 - share) + np.array(TINT, np.float32) * share).astype(np.uint8)
