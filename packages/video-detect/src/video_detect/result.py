"""What came of one film."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Object:
    """``box`` (x, y, width, height) in pixels of the upright frame, from its upper left corner;
    ``track`` counts from 1, None where tracks were not wanted."""

    box: tuple[float, float, float, float]
    label: str
    score: float
    track: int | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "box": [round(value, 2) for value in self.box],
            "label": self.label,
            "score": round(self.score, 4),
            "track": self.track,
        }


@dataclass(frozen=True)
class FrameRow:
    """A frame of the film: its ``index`` from 0, its ``time`` in seconds (None in a folder of
    images), and whether it was ``computed`` or stands between frames that were."""

    index: int
    time: float | None
    objects: tuple[Object, ...] = ()
    computed: bool = True

    def to_dict(self) -> dict[str, Any]:
        time = None if self.time is None else round(self.time, 4)
        row: dict[str, Any] = {"frame": self.index, "time": time}
        row["objects"] = [one.to_dict() for one in self.objects]
        return row if self.computed else row | {"computed": False}


@dataclass(frozen=True)
class Result:
    """``frames`` are the film's rows in order; ``fps`` is None where frames have no time. ``path``
    is where the film lies, None for what was in memory."""

    name: str
    frames: tuple[FrameRow, ...]
    width: int
    height: int
    fps: float | None
    labels: tuple[str, ...]
    damage: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    path: Path | None = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        return {
            "frames": len(self.frames),
            "computed": sum(frame.computed for frame in self.frames),
            "width": self.width,
            "height": self.height,
            "fps": None if self.fps is None else round(self.fps, 3),
            "objects": sum(len(frame.objects) for frame in self.frames),
            "tracks": self.tracks(),
            "reasons": list(self.reasons),
        }

    def tracks(self) -> list[dict[str, Any]]:
        """For each id its label, first and last frame, how many frames show it, its best score."""
        seen: dict[int, list[tuple[int, Object]]] = {}
        for frame in self.frames:
            for one in frame.objects:
                if one.track is not None:
                    seen.setdefault(one.track, []).append((frame.index, one))
        return [
            {
                "track": number,
                "label": one_label([one for _, one in own]),
                "first": own[0][0],
                "last": own[-1][0],
                "frames": len(own),
                "score": round(max(one.score for _, one in own), 4),
            }
            for number, own in sorted(seen.items())
        ]

    def cells(self) -> dict[str, str]:
        counts = Counter(str(track["label"]) for track in self.tracks())
        told = ", ".join(f"{count} {label}" for label, count in counts.most_common())
        return {"frames": str(len(self.frames)), "objects": told or "none found"}


def one_label(objects: Sequence[Object]) -> str:
    """The label with the greatest sum of scores."""
    sums: Counter[str] = Counter()
    for one in objects:
        sums[one.label] += one.score  # pyright: ignore[reportArgumentType] (a Counter of floats)
    return max(sums, key=lambda label: sums[label])
