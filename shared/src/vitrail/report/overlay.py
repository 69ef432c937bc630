"""What was found, drawn into the image that it was found in."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vitrail.errors import one_line
from vitrail.report.palette import Colour, class_colours, colour, ink_on

MAX_SMOOTH = 4_000_000  # pixels; larger images are drawn into without smoothing
MAX_LABEL = 60  # characters
PAPER: Colour = (253, 253, 252)
INK: Colour = (35, 39, 43)

Point = tuple[float, float]


class Overlay:
    """Boxes, points, lines and masks over a copy of ``image``: uint8 (H, W), (H, W, 3) or
    (H, W, 4), whose alpha is dropped.

    Coordinates are pixels (x, y) of that image, which may lie beside it. ``number`` chooses a
    colour of the palette; every stroke has a dark or light seam, so that it shows on any ground.
    """

    def __init__(self, image: np.ndarray):
        image = np.asarray(image)
        image = np.stack([image] * 3, axis=-1) if image.ndim == 2 else image[..., :3]
        self._base = np.array(image, np.uint8)
        self._height, self._width = self._base.shape[:2]
        self._scale = 2 if self._height * self._width <= MAX_SMOOTH else 1
        size = (self._width * self._scale, self._height * self._scale)
        self._layer = Image.new("RGBA", size)
        self._pen = ImageDraw.Draw(self._layer)
        side = min(self._height, self._width) * self._scale
        self._stroke = max(2 * self._scale, round(side / 250))
        self._font = ImageFont.load_default(min(max(side / 30, 11 * self._scale), 30 * self._scale))
        self._legend: list[tuple[Colour, str]] = []

    def box(
        self, left: float, top: float, right: float, bottom: float, label: str = "", number: int = 0
    ) -> None:
        """A rectangle, with a label at its upper left corner."""
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        self.line(corners, number, closed=True)
        if label:
            self.label(left, top, label, number)

    def label(self, x: float, y: float, text: str, number: int = 0) -> None:
        """Text on a ground of the colour, above the point (x, y) or as near as there is room."""
        text, ground = one_line(text, MAX_LABEL), colour(number)
        margin = self._stroke
        left, top, right, bottom = self._pen.textbbox((0, 0), text, self._font)
        width, height = right - left + 2 * margin, bottom - top + 2 * margin
        x = min(max(x * self._scale, 0), max(0, self._layer.width - width))
        y = min(max(y * self._scale - height, 0), max(0, self._layer.height - height))
        self._pen.rectangle((x, y, x + width, y + height), ground)
        self._pen.text((x + margin - left, y + margin - top), text, ink_on(ground), self._font)

    def line(self, points: Sequence[Point], number: int = 0, *, closed: bool = False) -> None:
        """A line through ``points``, back to the first where it is ``closed``."""
        path = self._placed(points)
        if len(path) < 2:
            return
        path = [*path, path[0], path[1]] if closed else path
        for width, tone in self._strokes(number):
            self._pen.line(path, tone, width, joint="curve")

    def points(self, points: Iterable[Point], number: int = 0) -> None:
        """A dot at each of ``points``."""
        path = self._placed(points)
        for width, tone in self._strokes(number):
            radius = width * 1.25
            for x, y in path:
                self._pen.ellipse((x - radius, y - radius, x + radius, y + radius), tone)

    def mask(
        self,
        labels: np.ndarray,
        names: Mapping[int, str] | None = None,
        *,
        opacity: float = 0.45,
    ) -> None:
        """Tints the pixels by a label map (H, W) of integers, 0 or False being left alone, and
        draws the borders of its parts; ``names`` {value: name} go into the legend.

        Raises ValueError where the map is not of the image's size.
        """
        labels = np.asarray(labels)
        if labels.shape != (self._height, self._width):
            raise ValueError(f"a mask of {labels.shape} over {(self._height, self._width)}")
        labels = labels.astype(np.int64)
        values = [value for value in np.unique(labels).tolist() if value]
        colours = class_colours(values)
        border = np.zeros(labels.shape, bool)
        border[1:] |= labels[1:] != labels[:-1]
        border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
        for value, tone in colours.items():
            inside = labels == value
            tinted = self._base[inside] * (1 - opacity) + np.array(tone) * opacity
            self._base[inside] = np.rint(tinted)
            self._base[inside & border] = tone
        if names:
            self.legend({value: names.get(value, str(value)) for value in values})

    def legend(self, names: Mapping[int, str]) -> None:
        """Names of label values, in a strip under the image."""
        colours = class_colours(names)
        self._legend += [(colours[value], one_line(names[value], MAX_LABEL)) for value in names]

    def image(self) -> np.ndarray:
        """uint8 (H, W, 3), longer by the legend where there is one."""
        layer = self._layer
        if self._scale > 1:
            layer = layer.resize((self._width, self._height), Image.Resampling.BOX)
        drawn = Image.fromarray(self._base).convert("RGBA")
        drawn.alpha_composite(layer)
        drawn = np.asarray(drawn.convert("RGB"))
        return np.concatenate([drawn, self._legend_strip()]) if self._legend else drawn

    def _placed(self, points: Iterable[Point]) -> list[Point]:
        """On the layer; far outside is as good as just outside, and safe to draw."""
        far = 4.0 * max(self._layer.size)
        placed = np.asarray(list(points), float).reshape(-1, 2)
        placed = placed[np.isfinite(placed).all(axis=1)] * self._scale
        return [tuple(point) for point in np.clip(placed, -far, far).tolist()]

    def _strokes(self, number: int) -> list[tuple[int, tuple[int, ...]]]:
        tone = colour(number)
        return [(2 * self._stroke, (*ink_on(tone), 255)), (self._stroke, (*tone, 255))]

    def _legend_strip(self) -> np.ndarray:
        size = min(max(min(self._height, self._width) / 30, 12), 28)
        font, side, pad = ImageFont.load_default(size), round(size), round(size * 0.6)
        places, x, y, row = [], pad, pad, round(size * 1.5)
        for _, name in self._legend:
            width = round(font.getlength(name)) + 3 * pad + side
            if x > pad and x + width > self._width:
                x, y = pad, y + row
            places.append((x, y))
            x += width
        strip = Image.new("RGB", (self._width, y + row + pad // 2), PAPER)
        pen = ImageDraw.Draw(strip)
        for (tone, name), (x, y) in zip(self._legend, places, strict=True):
            pen.rectangle((x, y + 1, x + side, y + 1 + side), tone, INK)
            pen.text((x + side + pad, y), name, INK, font)
        return np.asarray(strip)
