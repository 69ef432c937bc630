"""Bars beside names, as an SVG image without scripts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitrail.errors import one_line
from vitrail.report.axes import finite_range, ticks
from vitrail.report.markup import escape

_WIDTH, _RIGHT, _TOP, _BOTTOM = 760, 14, 8, 36
_ROW, _BAR = 26, 16
_LETTER = 6.2  # units of the image, at its 11 px
MAX_NAME = 32  # letters; longer names lose their middle


@dataclass(frozen=True)
class Bars:
    """One horizontal bar per name, from zero to its value; a value that is not finite has none.

    ``x_range`` (low, high) fixes the axis; without it zero and the values decide.
    """

    title: str
    names: Sequence[str]
    values: Sequence[float]
    x_label: str = ""
    x_range: tuple[float, float] | None = None

    def __post_init__(self):
        if len(self.names) != len(self.values):
            raise ValueError(f"{len(self.names)} names for {len(self.values)} values")

    def to_html(self) -> str:
        """A figure: the SVG image, which scrolls sideways where the window is narrow."""
        return (
            f'<figure class="chart"><figcaption>{escape(self.title)}</figcaption>'
            f'<div class="scroll">{self.to_svg()}</div></figure>'
        )

    def to_svg(self) -> str:
        """The image alone; its colours come from the page's style sheet."""
        names = [one_line(name, MAX_NAME) for name in self.names]
        left = 14 + _LETTER * max(map(len, names), default=0)
        low, high = self.x_range or finite_range([0.0, *map(float, self.values)])
        bottom = _TOP + _ROW * len(names)

        def x(value: float) -> float:
            share = (np.clip(value, low, high) - low) / (high - low)
            return left + share * (_WIDTH - _RIGHT - left)

        parts = [
            f'<svg viewBox="0 0 {_WIDTH} {bottom + _BOTTOM}" role="img"'
            f' aria-label="{escape(self.title)}">'
        ]
        for value in ticks(low, high, 8):
            place = f"{x(value):.1f}"
            parts.append(
                f'<line class="grid" x1="{place}" x2="{place}" y1="{_TOP}" y2="{bottom}"/>'
                f'<text x="{place}" y="{bottom + 14}" text-anchor="middle">{value:.4g}</text>'
            )
        for row, (name, value) in enumerate(zip(names, self.values, strict=True)):
            top = _TOP + _ROW * row + (_ROW - _BAR) / 2
            parts.append(
                f'<text x="{left - 7:.1f}" y="{top + 12:.1f}" text-anchor="end">'
                f"{escape(name)}</text>"
            )
            if np.isfinite(value):
                start, end = sorted((x(0.0), x(value)))
                parts.append(
                    f'<rect class="bar" x="{start:.1f}" y="{top:.1f}" width="{end - start:.1f}"'
                    f' height="{_BAR}"><title>{escape(name)}: {value:.4g}</title></rect>'
                )
        parts.append(
            f'<text x="{_WIDTH - _RIGHT}" y="{bottom + 30}" text-anchor="end">'
            f"{escape(self.x_label)}</text></svg>"
        )
        return "\n".join(parts)
