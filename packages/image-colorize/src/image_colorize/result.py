"""What the job gives back for one image."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from image_colorize.color import rgb_to_lab
from image_colorize.hints import HintFile
from image_colorize.merge import Merged, merge
from image_colorize.scores import NOTICEABLE
from image_colorize.seen import COLOURED, Placed, Seen, mean_chroma
from vitrail.preprocess.image_whole import SUFFIXES, WholeImage, losses

PALE = 6.0  # mean chroma below which a result has hardly any colour


@dataclass(frozen=True)
class Result:
    """``chroma`` (S, S, 2), unscaled, is what the network's answer became; None where the image was
    left alone. ``wanted`` are all hints, ``placed`` those that count."""

    source: str
    path: Path | None
    sha256: str | None
    image: WholeImage
    seen: Seen
    wanted: HintFile
    placed: Sequence[Placed] = ()
    chroma: np.ndarray | None = None
    tone: np.ndarray | None = None
    guided: bool = False
    format: str | None = None
    damage: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @cached_property
    def merged(self) -> Merged:
        """The colours at full size."""
        assert self.chroma is not None, "the image was left alone"
        return merge(self.image.levels, self.chroma, tone=self.tone, guided=self.guided)

    def rgb(self) -> np.ndarray:
        """The coloured image (H, W, 3), uint8 or uint16 as the source is."""
        return self.merged.rgb

    @property
    def was_left_alone(self) -> bool:
        return self.chroma is None

    @property
    def mean_chroma(self) -> float:
        return 0.0 if self.chroma is None else mean_chroma(self.chroma)

    @property
    def written_as(self) -> str:
        """The wished format, or the source's where it keeps what an image has, else PNG."""
        own = self.image.format
        return self.format or (own if own in SUFFIXES else "PNG")

    def reached(self, one: Placed) -> tuple[int, int, int]:
        """The colour at a hint, 8-bit sRGB."""
        height, width = self.image.shape
        row = min(height - 1, int(one.hint.y * height))
        column = min(width - 1, int(one.hint.x * width))
        red, green, blue = (self.merged.rgb[row, column] // (self.image.top // 255)).tolist()
        return red, green, blue

    def to_dict(self) -> dict[str, Any]:
        """The domain's part of the row, as JSON values."""
        height, width = self.image.shape
        facts: dict[str, Any] = {
            "image": {"sha256": self.sha256, "width": width, "height": height},
            "bits": 8 * self.image.levels.dtype.itemsize,
            "own_colour": round(self.seen.own_colour, 2),
            "left_alone": self.was_left_alone,
        }
        if self.was_left_alone:
            return facts | {"reasons": list(self.reasons)}
        return facts | {
            "mean_chroma": round(self.mean_chroma, 2),
            "outside_gamut": self.merged.outside,
            "hints": [self._hint(one) for one in self.placed],
            "reasons": list(self.reasons),
        }

    def _hint(self, one: Placed) -> dict[str, Any]:
        reached = self.reached(one)
        wish, made = (
            rgb_to_lab(np.array(colour, np.float64) / 255) for colour in (one.shown, reached)
        )
        return one.hint.to_dict() | {
            "displayable": list(one.shown),
            "reached": list(reached),
            "off": round(float(np.hypot(*(wish - made)[1:])), 2),
        }

    def cells(self) -> dict[str, str]:
        """The result as one row of the table for people."""
        height, width = self.image.shape
        said = [*self.damage, *self.reasons]
        return {
            "size": f"{width} x {height}",
            "hints": str(len(self.placed)),
            "chroma": "left alone" if self.was_left_alone else f"{self.mean_chroma:.1f}",
            "remarks": "; ".join(said),
        }


def judged(result: Result) -> tuple[str, ...]:
    """What is to be said about a coloured image: its own colours, those it got, and its file."""
    pale = "hardly any colour was found: a hint where you know the colour helps"
    return (
        *of_source(result.seen, tone_kept=result.tone is not None),
        *([pale] if result.mean_chroma < PALE else []),
        *losses(result.image, result.written_as),
    )


def of_source(seen: Seen, *, tone_kept: bool = False) -> list[str]:
    """Which colours of an image's own its colouring drops."""
    if seen.own_colour > COLOURED:
        return ["it has colours of its own, which were dropped (--skip-coloured leaves it alone)"]
    if seen.toning > NOTICEABLE and not tone_kept:
        return ["the scan's tone was dropped (--keep-tone brings it back)"]
    return []
