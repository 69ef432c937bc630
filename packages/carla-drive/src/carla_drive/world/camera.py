"""Cameras, and what one sees."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

FAR = 1000.0  # m: CARLA's far plane, and the depth of the sky


@lru_cache(maxsize=16)
def _rays(focal: float, width: int, height: int) -> np.ndarray:
    x = (np.arange(width) + 0.5 - width / 2) / focal
    y = (np.arange(height) + 0.5 - height / 2) / focal
    rays = np.ones((height, width, 3), np.float32)
    rays[..., 0], rays[..., 1] = x, y[:, None]
    return rays


@dataclass(frozen=True)
class Camera:
    """Mounted on a car at ``x`` ahead, ``y`` to the right, ``z`` above its middle on the ground;
    metres and degrees, ``yaw`` clockwise. ``fov`` is horizontal."""

    name: str
    x: float = 1.3
    y: float = 0.0
    z: float = 2.3
    yaw: float = 0.0
    pitch: float = 0.0
    width: int = 320
    height: int = 160
    fov: float = 60.0

    @property
    def focal(self) -> float:
        """Pixels."""
        return self.width / (2 * math.tan(math.radians(self.fov) / 2))

    def rays(self) -> np.ndarray:
        """(H, W, 3) float32 directions right, down, ahead of each pixel's middle; ahead is 1."""
        return _rays(self.focal, self.width, self.height)

    def pose(self, x: float, y: float, z: float, yaw: float) -> tuple[np.ndarray, np.ndarray]:
        """Its place (3,) in the world and the matrix (3, 3) whose rows are right, down and ahead,
        for a car at ``x``, ``y``, ``z`` with ``yaw`` in radians."""
        cos, sin = math.cos(yaw), math.sin(yaw)
        place = np.array(
            [x + self.x * cos - self.y * sin, y + self.x * sin + self.y * cos, z + self.z]
        )
        turned, tilt = yaw + math.radians(self.yaw), math.radians(self.pitch)
        ahead = np.array(
            [math.cos(turned) * math.cos(tilt), math.sin(turned) * math.cos(tilt), math.sin(tilt)]
        )
        right = np.array([-math.sin(turned), math.cos(turned), 0.0])
        # x ahead, y right, z up is left-handed: down is ahead x right there.
        down = -np.array(
            [
                -math.cos(turned) * math.sin(tilt),
                -math.sin(turned) * math.sin(tilt),
                math.cos(tilt),
            ]
        )
        return place, np.stack([right, down, ahead])


# Left, front, right: together the official strip of 960 x 160.
LETFUSER = tuple(
    Camera(name, yaw=yaw) for name, yaw in (("left", -60), ("front", 0), ("right", 60))
)


@dataclass(frozen=True)
class Picture:
    """One frame of one camera: ``rgb`` (H, W, 3) uint8, ``depth`` (H, W) float32 metres along the
    optical axis, ``semantics`` (H, W) uint8 of CARLA 0.9.10, ``instances`` (H, W) int32."""

    rgb: np.ndarray
    depth: np.ndarray
    semantics: np.ndarray
    instances: np.ndarray
