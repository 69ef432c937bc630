"""Curves of error against discard as a picture."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from face_quality.edc import Curve
from vitrail.output import atomic_file
from vitrail.report.axes import ticks

SIZE = (900, 560)
LEFT, TOP, RIGHT, BOTTOM = 80, 50, 30, 70  # pixels around the axes
INK, GRID, PAPER = (35, 39, 43), (220, 220, 214), (253, 253, 252)
COLOURS = ((43, 108, 176), (194, 87, 26), (44, 122, 87), (138, 79, 158), (107, 112, 120))


def draw_curves(path: Path, curves: Mapping[str, Curve]) -> None:
    """A PNG file: the rate of missed genuine pairs over the share of discarded pairs."""
    sheet = Image.new("RGB", SIZE, PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    width, height = SIZE[0] - LEFT - RIGHT, SIZE[1] - TOP - BOTTOM
    top = max(max(np.nanmax(curve.fnmr) for curve in curves.values()), 1e-3)

    def at(share: float, rate: float) -> tuple[float, float]:
        return LEFT + width * share, TOP + height * (1 - rate / top)

    for rate in ticks(0, top, 6):
        _, y = at(0, rate)
        pen.line([(LEFT, y), (LEFT + width, y)], GRID)
        pen.text((LEFT - 8, y), f"{rate:.3g}", INK, font, anchor="rm")
    for share in np.arange(0, 1.01, 0.2):
        x, y = at(float(share), 0)
        pen.line([(x, y), (x, y + 5)], INK)
        pen.text((x, y + 9), f"{share:.0%}", INK, font, anchor="ma")
    pen.line([at(0, 0), at(1, 0)], INK)
    pen.text((LEFT, TOP - 14), "FNMR", INK, font, anchor="ld")
    pen.text((LEFT + width, SIZE[1] - 12), "pairs discarded", INK, font, anchor="rd")
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = zip(curve.shares.tolist(), curve.fnmr.tolist(), strict=True)
        pen.line([at(*point) for point in points if point[1] == point[1]], colour, 3)
        pen.text((LEFT + width - 10, TOP + 6 + 22 * number), name, colour, font, anchor="ra")
    with atomic_file(path) as temporary:
        sheet.save(temporary, "PNG")
