"""The job: one frame of any camera, seen through the network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from carla_drive import system
from carla_drive.driving.safety import FOCAL
from carla_drive.models.config import STRIP
from carla_drive.networks import DrivingNetwork, load_network
from carla_drive.result import Result
from carla_drive.world.depth import decode_depth, depth_order
from vitrail.engine import prepare
from vitrail.errors import InputError, UsageError
from vitrail.job import Ask, Engine, Steps
from vitrail.preprocess.image import read_image
from vitrail.runner import solve
from vitrail.sources import Source

FIELD = 60.0  # degrees that one of the network's three cameras sees
NOTHING = 255  # in a bird's-eye map


class PerceptionJob:
    """Frames in, classes per pixel out. The frame becomes the strip's front camera: it is scaled so
    that a degree is as wide as there, and what it shows at the sides fills the side cameras."""

    model, version = "LeTFuser", system.version

    def __init__(
        self,
        network: DrivingNetwork,
        *,
        fov: float = 90.0,
        depth: Path | None = None,
        engine: str = "auto",
        device: str = "auto",
    ):
        if not 10 <= fov <= 150:
            raise UsageError(f"--fov {fov:g}", "is not in 10..150 degrees", "give the camera's own")
        self.fov, self.depth, self.network = fov, depth, network
        self.networks: Mapping[str, Engine] = {
            network.name: prepare(
                network, engine=engine, device=device, tolerance=network.tolerance
            )
        }
        self.options: Mapping[str, Any] = {
            "fov": fov,
            "depth": None if depth is None else str(depth),
        }

    def process(self, source: Source) -> Steps:
        damage: list[str] = []
        picture = read_image(source.path, damage=damage)
        metres, remarks = None, []
        if self.depth is not None:
            metres, remarks = read_depth(self.depth, picture.shape[:2])
        return (yield from self._look(picture, metres, remarks, damage))

    def predict(self, image: np.ndarray | Path | str, depth: np.ndarray | None = None) -> Result:
        """The result for a path, or for an image (H, W, 3) uint8 RGB with ``depth`` (H, W) in
        metres."""
        if isinstance(image, Path | str):
            return solve(self.networks, self.process(Source.of(image)))
        return solve(self.networks, self._look(image, depth, []))

    def _look(
        self,
        picture: np.ndarray,
        metres: np.ndarray | None,
        remarks: list[str],
        damage: Sequence[str] = (),
    ) -> Steps:
        height, width = picture.shape[:2]
        rgb, where = to_strip(picture, self.fov)
        remarks = [*remarks]
        if metres is None:
            depth = np.full(STRIP, 1.0, np.float32)
            remarks.append("no depth was given: there is no view from above")
        else:
            depth, _ = to_strip(metres.astype(np.float32), self.fov)
            depth = np.clip(depth / 1000, 0, 1)
        command = np.zeros(6, np.float32)
        command[3] = 1
        item = (
            rgb.transpose(2, 0, 1).astype(np.float32),
            depth.astype(np.float32),
            np.array([0.0, -20.0], np.float32),
            np.float32(5.0),
            command,
        )
        (row,) = yield Ask(self.network.name, [tuple(np.asarray(part) for part in item)])
        labels = np.asarray(row[0]).argmax(axis=0).astype(np.uint8)
        if float(where.mean()) < 0.3:
            remarks.append(f"the picture fills {where.mean():.0%} of what the network sees")
        found = from_strip(labels, (height, width), self.fov)
        if (found == NOTHING).any():
            remarks.append("what lies above and below the network's view was taken from its edge")
            found = _filled(found)
        return Result(
            picture,
            found,
            float(row[3]),
            float(row[4]) if self.network.config.stop_head else None,
            None if metres is None else bird_view(depth * 1000, labels),
            damage=tuple(damage),
            remarks=tuple(remarks),
        )


def read_depth(path: Path, size: tuple[int, int]) -> tuple[np.ndarray, list[str]]:
    """Metres (H, W) from CARLA's coded PNG; the byte order is found and named where it is the
    swapped one. InputError where the size differs from the picture's."""
    code = read_image(path)
    if code.shape[:2] != size:
        problem = f"is {code.shape[1]} x {code.shape[0]}, the picture {size[1]} x {size[0]}"
        raise InputError(path, problem, "give the depth of the same camera")
    order = depth_order(code)
    remarks = [] if order == "carla" else ["the depth file has its bytes in the swapped order"]
    return decode_depth(code, order) * 1000, remarks


def _geometry(size: tuple[int, int], fov: float) -> tuple[np.ndarray, np.ndarray]:
    """For each pixel of the strip the column and row of a picture with ``fov`` that looks the same
    way; outside of it where it does not look there."""
    height, width = size
    focal = width / (2 * np.tan(np.radians(fov) / 2))
    column = np.arange(STRIP[1])
    yaw = np.where(column < 224, -60.0, np.where(column < 544, 0.0, 60.0))
    local = (
        np.where(column < 224, column - 64, np.where(column < 544, column - 384, column - 704))
        + 0.5
    )
    turned = np.radians(yaw)
    right = local / FOCAL * np.cos(turned) + np.sin(turned)
    ahead = np.cos(turned) - local / FOCAL * np.sin(turned)
    down = (np.arange(STRIP[0]) + 0.5 - STRIP[0] / 2) / FOCAL
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.where(ahead > 0.05, right / ahead * focal + width / 2 - 0.5, -1e6)
        y = down[:, None] / ahead[None] * focal + height / 2 - 0.5
    return np.broadcast_to(x[None], y.shape), np.where(ahead[None] > 0.05, y, -1e6)


def to_strip(picture: np.ndarray, fov: float) -> tuple[np.ndarray, np.ndarray]:
    """A picture (H, W[, 3]) as the strip sees it, and (160, 768) where it does. Beyond its edges
    the nearest pixel is repeated."""
    x, y = _geometry(picture.shape[:2], fov)
    height, width = picture.shape[:2]
    inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    scale = width / (2 * np.tan(np.radians(fov) / 2)) / FOCAL
    if picture.ndim == 3 and scale > 1.5:  # far fewer pixels than the picture: average, not skip
        small = Image.fromarray(picture).resize(
            (max(1, round(width / scale)), max(1, round(height / scale))), Image.Resampling.BOX
        )
        picture = np.asarray(small)
        x, y = (
            (x + 0.5) * picture.shape[1] / width - 0.5,
            (y + 0.5) * picture.shape[0] / height - 0.5,
        )
    columns = np.clip(np.rint(x), 0, picture.shape[1] - 1).astype(int)
    rows = np.clip(np.rint(y), 0, picture.shape[0] - 1).astype(int)
    return picture[rows, columns], inside


def from_strip(labels: np.ndarray, size: tuple[int, int], fov: float) -> np.ndarray:
    """Labels (160, 768) back on a picture of ``size``; NOTHING where the strip does not look."""
    height, width = size
    focal = width / (2 * np.tan(np.radians(fov) / 2))
    right = (np.arange(width) + 0.5 - width / 2) / focal
    down = (np.arange(height) + 0.5 - height / 2) / focal
    angle = np.degrees(np.arctan(right))
    yaw = np.where(angle < -30, -60.0, np.where(angle > 30, 60.0, 0.0))
    middle = np.where(yaw < 0, 64, np.where(yaw > 0, 704, 384))
    turned = np.radians(yaw)
    ahead = np.cos(turned) + right * np.sin(turned)
    local = (right * np.cos(turned) - np.sin(turned)) / ahead
    column = np.rint(local * FOCAL + middle - 0.5).astype(int)
    row = np.rint(down[:, None] / ahead[None] * FOCAL + STRIP[0] / 2 - 0.5).astype(int)
    inside = (row >= 0) & (row < STRIP[0]) & (column >= 0) & (column < STRIP[1])
    columns = np.broadcast_to(np.clip(column, 0, STRIP[1] - 1), row.shape)
    found = labels[np.clip(row, 0, STRIP[0] - 1), columns]
    return np.where(inside, found, NOTHING).astype(np.uint8)


def _filled(labels: np.ndarray) -> np.ndarray:
    """Each column's first and last known label carried on to its ends; columns without any take
    their neighbour's."""
    known = labels != NOTHING
    height, width = labels.shape
    columns = known.any(axis=0)
    nearest = np.flatnonzero(columns)
    if not len(nearest):
        return np.zeros_like(labels)
    labels = labels[:, nearest[np.abs(np.arange(width)[:, None] - nearest).argmin(axis=1)]]
    known = labels != NOTHING
    first, last = known.argmax(axis=0), height - 1 - known[::-1].argmax(axis=0)
    rows = np.clip(np.arange(height)[:, None], first, last)
    return np.take_along_axis(labels, rows, axis=0)


def bird_view(metres: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(160, 768) labels from above by the real geometry of the strip; NOTHING where none fell."""
    column = np.arange(STRIP[1])
    yaw = np.radians(np.where(column < 224, -60.0, np.where(column < 544, 0.0, 60.0)))
    local = (
        np.where(column < 224, column - 64, np.where(column < 544, column - 384, column - 704))
        + 0.5
    )
    right = metres * (np.sin(yaw) + local / FOCAL * np.cos(yaw))
    ahead = metres * (np.cos(yaw) - local / FOCAL * np.sin(yaw))
    row = STRIP[0] - 1 - np.floor(ahead / 0.25)
    across = np.floor(right / 0.25 + STRIP[1] / 2)
    inside = (row >= 0) & (row < STRIP[0]) & (across >= 0) & (across < STRIP[1])
    view = np.full(STRIP, NOTHING, np.uint8)
    view[row[inside].astype(int), across[inside].astype(int)] = labels[inside]
    return view


def load(weights: str | None = None, **options: Any) -> PerceptionJob:
    """``options`` are those of ``PerceptionJob``."""
    return PerceptionJob(load_network(weights), **options)
