"""A matrix as an image with axes: spectrograms, confusion matrices, maps of attention."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vitrail.errors import one_line
from vitrail.report.axes import clock, finite_range, ticks, time_label, time_ticks
from vitrail.report.palette import colour, heat, ink_on

PAPER, INK, SOFT = (253, 253, 252), (35, 39, 43), (98, 104, 110)
MAX_TEXT = 120  # characters
LANES = 6  # of spans under each other
_SIZE = 13
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 92, 50, 46
_BAR_GAP, _BAR = 14, 14


@dataclass(frozen=True)
class Span:
    """A named stretch of the horizontal axis."""

    start: float
    end: float
    name: str


@dataclass(frozen=True)
class HeatMap:
    """``values`` (rows, columns), the first row at the bottom; NaN is grey.

    ``x_range`` is where the columns begin and end: seconds, unless ``x_label`` names another
    quantity. ``y_ticks`` are places (in rows, 0 being the lower edge) with their texts.
    ``value_range`` (low, high) fixes the colours; without it the values decide. ``unit`` stands at
    the colour bar. ``spans`` are drawn over the matrix, in lanes from the top.
    """

    title: str
    values: np.ndarray
    x_range: tuple[float, float]
    x_label: str = ""
    y_label: str = ""
    y_ticks: Sequence[tuple[float, str]] = ()
    value_range: tuple[float, float] | None = None
    unit: str = ""
    spans: Sequence[Span] = ()

    def to_image(self, width: int = 1000, height: int = 400) -> np.ndarray:
        """uint8 (height, width, 3), ready for a PNG or a page."""
        low, high = self.value_range or finite_range(np.ravel(self.values).tolist())
        sheet = Image.new("RGB", (width, height), PAPER)
        pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_SIZE)
        frame = (_LEFT, _TOP, width - _RIGHT, height - _BOTTOM)
        size = (frame[2] - frame[0], frame[3] - frame[1])
        matrix = heat((np.asarray(self.values, float)[::-1] - low) / (high - low))
        sheet.paste(_fitted(matrix, size), frame[:2])
        pen.text((_LEFT, 9), one_line(self.title, MAX_TEXT), INK, ImageFont.load_default(15))
        self._draw_axes(pen, font, frame)
        _draw_bar(sheet, pen, font, frame, (low, high), self.unit)
        self._draw_spans(pen, font, frame)
        return np.asarray(sheet)

    def _draw_axes(self, pen: ImageDraw.ImageDraw, font, frame: tuple[int, ...]) -> None:
        left, top, right, bottom = frame
        start, end = self.x_range
        for value in ticks(start, end, 10) if self.x_label else time_ticks(start, end):
            x = left + (value - start) / (end - start) * (right - left)
            text = f"{value:.4g}" if self.x_label else clock(value, end - start)
            pen.line((x, bottom, x, bottom + 4), SOFT)
            pen.text((x, bottom + 7), text, SOFT, font, anchor="mt")
        named = one_line(self.x_label or time_label(end - start), MAX_TEXT)
        pen.text((right, bottom + 25), named, SOFT, font, anchor="rt")
        for place, text in self.y_ticks:
            y = bottom - place / len(self.values) * (bottom - top)
            pen.line((left - 4, y, left, y), SOFT)
            pen.text((left - 7, y), text, SOFT, font, anchor="rm")
        pen.text((8, top - 7), one_line(self.y_label, MAX_TEXT), SOFT, font, anchor="ls")

    def _draw_spans(self, pen: ImageDraw.ImageDraw, font, frame: tuple[int, ...]) -> None:
        left, top, right, _ = frame
        start, end = self.x_range
        for number, span in enumerate(self.spans):
            tone, lane = colour(number % LANES), top + 6 + 26 * (number % LANES)
            shares = (np.clip((span.start, span.end), start, end) - start) / (end - start)
            ends = (left + shares * (right - left)).tolist()
            pen.rectangle((ends[0], lane, max(ends[1], ends[0] + 2), lane + 4), tone)
            text = one_line(span.name, MAX_TEXT)
            x = min(ends[0], right - font.getlength(text) - 6)
            box = pen.textbbox((x + 3, lane + 7), text, font)
            pen.rectangle((box[0] - 3, box[1] - 2, box[2] + 3, box[3] + 2), tone)
            pen.text((x + 3, lane + 7), text, ink_on(tone), font)


def _fitted(matrix: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Each cell a sharp rectangle where there is room for it, means where there is not."""
    image = Image.fromarray(matrix)
    for axis in (0, 1):
        wide = size[axis] if axis == 0 else image.width
        high = size[axis] if axis == 1 else image.height
        enlarges = size[axis] >= image.size[axis]
        kind = Image.Resampling.NEAREST if enlarges else Image.Resampling.BOX
        image = image.resize((wide, high), kind)
    return image


def _draw_bar(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    font,
    frame: tuple[int, ...],
    limits: tuple[float, float],
    unit: str,
) -> None:
    """What the colours mean."""
    _, top, right, bottom = frame
    left, (low, high) = right + _BAR_GAP, limits
    ramp = heat(np.linspace(1, 0, bottom - top))[:, None]
    sheet.paste(Image.fromarray(np.repeat(ramp, _BAR, axis=1)), (left, top))
    for value in ticks(low, high, 5):
        y = bottom - (value - low) / (high - low) * (bottom - top)
        pen.line((left + _BAR, y, left + _BAR + 4, y), SOFT)
        pen.text((left + _BAR + 7, y), f"{value:.4g}", SOFT, font, anchor="lm")
    pen.text((left, top - 7), one_line(unit, 12), SOFT, font, anchor="ls")
