"""What comes back of a film; the film itself is a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_colorize.film.carry import Track


@dataclass(frozen=True)
class FilmResult:
    """``written`` is the coloured film; ``flicker`` and ``flicker_alone`` are ``Steady``'s."""

    source: str
    written: Path
    sha256: str
    width: int
    height: int
    frames: int
    seconds: float
    cuts: int
    hints: Sequence[Track]
    mean_chroma: float
    outside_gamut: int
    flicker: float | None
    flicker_alone: float | None
    damage: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The domain's part of the row, as JSON values."""
        return {
            "film": {"width": self.width, "height": self.height, "frames": self.frames},
            "duration": round(self.seconds, 3),
            "cuts": self.cuts,
            "mean_chroma": round(self.mean_chroma, 2),
            "outside_gamut": self.outside_gamut,
            "flicker": _rounded(self.flicker),
            "flicker_frame_by_frame": _rounded(self.flicker_alone),
            "hints": [track.to_dict() for track in self.hints],
            "reasons": list(self.reasons),
            "written": {"file": str(self.written), "sha256": self.sha256},
        }

    def cells(self) -> dict[str, str]:
        """The result as one row of the table for people."""
        flicker = "" if self.flicker is None else f"{self.flicker:.2f} ({self.flicker_alone:.2f})"
        return {
            "size": f"{self.width} x {self.height}",
            "frames": str(self.frames),
            "hints": str(len(self.hints)),
            "chroma": f"{self.mean_chroma:.1f}",
            "flicker (frame by frame)": flicker,
            "film": self.written.name,
            "remarks": "; ".join([*self.damage, *self.reasons]),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
