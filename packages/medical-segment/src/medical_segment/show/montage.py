"""One image of a result: slices in three planes through what was found, or the image beside its
objects."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from medical_segment.result import NOTICE, Result
from medical_segment.show.display import Shown, blend, colours, shown

ACROSS = 6  # slices of each plane
TILE, GAP = 190, 6
MAX_SIDE = 900  # pixels that an image is shown at
PAGES = 4
INK, PAPER, WARN = (225, 228, 235), (17, 19, 24), (240, 200, 90)
OPACITY = 0.45
SIDES = {2: ("R", "L"), 1: ("R", "L"), 0: ("A", "P")}  # left and right edge of slices along an axis


def draw(result: Result, path: Path) -> None:
    """Writes a PNG: images, legend with sizes, and the notice."""
    view = shown(result)
    palette = colours(max(len(view.names), 7))
    rows = _image_rows(view, palette) if view.is_image else _plane_rows(view, palette)
    legend = [(palette[n], text) for n, text in enumerate(result.legend().values())]
    if result.instances is not None:
        legend = [(INK, f"{len(result.things)} objects")]
    _sheet(rows, legend, result.remarks).save(path)


def _plane_rows(view: Shown, palette: list) -> list[list[Image.Image]]:
    """Seen from below, from the front and from the left: the patient's right is on the left."""
    rows = []
    for axis in (2, 1, 0):
        numbers = _slices(view.labels, axis)
        rows.append([_tile(view, axis, number, palette) for number in numbers])
    return rows


def _slices(labels: np.ndarray, axis: int) -> list[int]:
    """Evenly through what was found along ``axis``, or through everything where nothing was."""
    others = tuple(n for n in range(3) if n != axis)
    found = np.flatnonzero(labels.any(axis=others))
    first, last = (found[0], found[-1]) if len(found) else (0, labels.shape[axis] - 1)
    return sorted({round(n) for n in np.linspace(first, last, ACROSS + 2)[1:-1]})


def _tile(view: Shown, axis: int, number: int, palette: list) -> Image.Image:
    across, up = [n for n in range(3) if n != axis]
    colour = blend(
        np.take(view.image, number, axis), np.take(view.labels, number, axis), palette, OPACITY
    )
    # Images count rows from the top, the patient's axes from below.
    tile = Image.fromarray(np.ascontiguousarray(colour.transpose(1, 0, 2)[::-1, ::-1]))
    width, height = tile.width * view.spacing[across], tile.height * view.spacing[up]
    scale = TILE / max(width, height)
    tile = tile.resize(
        (max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BILINEAR
    )
    return _marked(tile, SIDES[axis])


def _marked(tile: Image.Image, sides: tuple[str, str]) -> Image.Image:
    """With letters for the patient's sides at its left and right edge, readable on any grey."""
    pen, font = ImageDraw.Draw(tile), ImageFont.load_default(13)
    for side, place, anchor in zip(sides, (3, tile.width - 3), ("lm", "rm"), strict=True):
        edge = (place, tile.height / 2)
        pen.text(edge, side, INK, font, anchor=anchor, stroke_width=1, stroke_fill=PAPER)
    return tile


def _image_rows(view: Shown, palette: list) -> list[list[Image.Image]]:
    rows = []
    for page in range(min(PAGES, view.image.shape[2])):
        image, labels = view.image[:, :, page].swapaxes(0, 1), view.labels[:, :, page].T
        plain = blend(image, np.zeros_like(labels), palette, 0)
        pair = [Image.fromarray(plain), Image.fromarray(_outlined(image, labels, palette))]
        scale = min(1.0, MAX_SIDE / max(pair[0].size))
        size = [max(1, round(side * scale)) for side in pair[0].size]
        rows.append([tile.resize(size, Image.Resampling.BILINEAR) for tile in pair])
    return rows


def _outlined(image: np.ndarray, labels: np.ndarray, palette: list) -> np.ndarray:
    """Faintly filled, with a clear edge one pixel wide."""
    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        change = np.diff(labels.astype(np.int16), axis=axis) != 0
        edge |= np.pad(change, [(0, 1) if n == axis else (0, 0) for n in (0, 1)])
    filled = blend(image, labels, palette, 0.25)
    return np.where((edge & (labels > 0))[..., None], blend(image, labels, palette, 1.0), filled)


def _sheet(
    rows: list[list[Image.Image]], legend: list[tuple[tuple, str]], remarks: Sequence[str]
) -> Image.Image:
    font = ImageFont.load_default(15)
    heights = [max(tile.height for tile in row) for row in rows]
    widths = [sum(tile.width + GAP for tile in row) + GAP for row in rows]
    width = max(*widths, 640)
    lines, small = _lines(legend, width, font), ImageFont.load_default(13)
    said = [line for text in remarks for line in _wrapped(text, width - 2 * GAP, small)]
    below = 24 * (len(lines) + 1) + 18 * len(said)
    sheet = Image.new("RGB", (width, sum(heights) + GAP * (len(rows) + 2) + below), PAPER)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        left = GAP
        for tile in row:
            sheet.paste(tile, (left, top + (height - tile.height) // 2))
            left += tile.width + GAP
        top += height + GAP
    pen = ImageDraw.Draw(sheet)
    for line in lines:
        left = GAP
        for colour, text in line:
            pen.rectangle((left, top + 5, left + 12, top + 17), fill=colour)
            pen.text((left + 19, top + 2), text, INK, font)
            left += 40 + pen.textlength(text, font)
        top += 24
    for text in said:
        pen.text((GAP, top), text, WARN, small)
        top += 18
    pen.text((GAP, top + 2), NOTICE, INK, font)
    return sheet


def _wrapped(
    text: str, width: float, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> list[str]:
    """A remark in lines that fit, the later ones indented."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines[-1].strip() else lines[-1] + word
        if font.getlength(longer) > width and lines[-1].strip():
            lines.append("    " + word)
        else:
            lines[-1] = longer
    return lines


def _lines(
    legend: list[tuple[tuple, str]], width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> list[list[tuple[tuple, str]]]:
    """The legend broken into lines that fit."""
    lines, left = [[]], GAP
    for colour, text in legend:
        needed = 40 + font.getlength(text)
        if left + needed > width and lines[-1]:
            lines.append([])
            left = GAP
        lines[-1].append((colour, text))
        left += needed
    return lines
