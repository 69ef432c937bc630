"""What came of one frame."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from carla_drive.world.labels import NAMES


@dataclass(frozen=True)
class Result:
    """``semantics`` (H, W) uint8 at the picture's own size, ``bird`` (160, 768) uint8 labels from
    above where depth was given, 255 where nothing was seen. ``red_light`` is a probability."""

    picture: np.ndarray
    semantics: np.ndarray
    red_light: float
    stop_sign: float | None
    bird: np.ndarray | None
    damage: tuple[str, ...] = ()
    remarks: tuple[str, ...] = field(default=())

    @property
    def shares(self) -> Mapping[str, float]:
        """Of the picture's pixels, the commonest class first."""
        counts = np.bincount(self.semantics.ravel(), minlength=len(NAMES))
        order = np.argsort(-counts, kind="stable")
        return {NAMES[i]: round(float(counts[i] / counts.sum()), 4) for i in order if counts[i]}

    def to_dict(self) -> dict[str, Any]:
        return {
            "shares": dict(self.shares),
            "red_light": round(self.red_light, 4),
            "stop_sign": None if self.stop_sign is None else round(self.stop_sign, 4),
            "with_depth": self.bird is not None,
            "reasons": list(self.remarks),
        }

    def cells(self) -> dict[str, str]:
        common = ", ".join(f"{name} {share:.0%}" for name, share in list(self.shares.items())[:3])
        return {"seen": common, "red light": f"{self.red_light:.2f}"}
