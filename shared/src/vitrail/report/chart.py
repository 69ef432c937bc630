"""A line chart over time or over any other number, as an SVG image without scripts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitrail.report.axes import clock, finite_range, ticks, time_label, time_ticks
from vitrail.report.markup import escape

_WIDTH, _HEIGHT = 760, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 14, 28, 38
_COLOURS = 6
MAX_POINTS = 1500  # about two for every horizontal unit; more cannot be seen
MAX_DOTS = 120


@dataclass(frozen=True)
class Series:
    """A named line: ``x`` ascending and ``y`` of the same length; a NaN in ``y`` interrupts the
    line. As ``dots`` only points are drawn, and ``x`` is in any order."""

    name: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    dots: bool = False


@dataclass(frozen=True)
class Chart:
    """Several series, with a dashed ``threshold`` and ``shaded`` intervals (start, end).

    The horizontal axis is time, in seconds, unless ``x_label`` names another. ``y_range`` (low,
    high) fixes the vertical axis; without it the values and the threshold decide.
    """

    title: str
    series: Sequence[Series]
    y_label: str = ""
    x_label: str = ""
    y_range: tuple[float, float] | None = None
    threshold: float | None = None
    shaded: Sequence[tuple[float, float]] = ()
    shaded_label: str = "marked"

    def to_html(self) -> str:
        """A figure: the SVG image, which scrolls sideways where the window is narrow, and a
        legend under it."""
        return (
            f'<figure class="chart"><figcaption>{escape(self.title)}</figcaption>'
            f'<div class="scroll">{self.to_svg()}</div>'
            f'<p class="legend">{self._legend()}</p></figure>'
        )

    def to_svg(self) -> str:
        """The image alone; its colours come from the page's style sheet."""
        scale = _Scale(self._x_range(), self._y_range())
        parts = [
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(self.title)}">',
            *(
                _interval(scale, *interval, self.shaded_label, self._unit)
                for interval in self.shaded
            ),
            *_grid(scale, self.x_label, self.y_label),
        ]
        if self.threshold is not None:
            y = scale.y(self.threshold)
            parts.append(
                f'<line class="threshold" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}"'
                f' y1="{y:.1f}" y2="{y:.1f}"/>'
            )
        parts += [
            _line(scale, series, f"s{n % _COLOURS}", self._unit)
            for n, series in enumerate(self.series)
        ]
        return "\n".join([*parts, "</svg>"])

    @property
    def _unit(self) -> str:
        return "" if self.x_label else " s"

    def _legend(self) -> str:
        entries = [
            (f"s{number % _COLOURS}", series.name, series.dots)
            for number, series in enumerate(self.series)
        ]
        if self.threshold is not None:
            entries.append(("threshold", f"threshold {self.threshold:.3g}", False))
        if self.shaded:
            entries.append(("shade", self.shaded_label, False))
        return "".join(
            f"<span>{_swatch(kind, dots)}{escape(name)}</span>" for kind, name, dots in entries
        )

    def _x_range(self) -> tuple[float, float]:
        ends = [end for interval in self.shaded for end in interval]
        for series in self.series:
            ends += map(float, series.x if series.dots else [*series.x[:1], *series.x[-1:]])
        return finite_range(ends)

    def _y_range(self) -> tuple[float, float]:
        if self.y_range is not None:
            return self.y_range
        values = [float(y) for series in self.series for y in series.y]
        low, high = finite_range(values if self.threshold is None else [*values, self.threshold])
        margin = 0.05 * (high - low)
        return low - margin, high + margin


@dataclass(frozen=True)
class _Scale:
    """Data coordinates to those of the image."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def x(self, value):
        low, high = self.x_range
        return _LEFT + (np.clip(value, low, high) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value):
        low, high = self.y_range
        return (
            _HEIGHT
            - _BOTTOM
            - (np.clip(value, low, high) - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)
        )


def _grid(scale: _Scale, x_label: str, y_label: str) -> list[str]:
    low, high = scale.x_range
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value in ticks(*scale.y_range, 5):
        y = scale.y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for value in ticks(low, high, 10) if x_label else time_ticks(low, high):
        x = scale.x(value)
        shown = f"{value:.4g}" if x_label else clock(value, high - low)
        parts.append(
            f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>'
        )
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{shown}</text>')
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    named = x_label or time_label(high - low)
    parts.append(f'<text x="{right}" y="{_HEIGHT - 6}" text-anchor="end">{escape(named)}</text>')
    parts.append(f'<text x="{_LEFT}" y="{_TOP - 14}">{escape(y_label)}</text>')
    return parts


def _interval(scale: _Scale, start: float, end: float, label: str, unit: str) -> str:
    left, right = scale.x(start), scale.x(end)
    title = f"{escape(label)}: {start:.2f}{unit} to {end:.2f}{unit}"
    return (
        f'<rect class="shade" x="{left:.1f}" y="{_TOP}" width="{max(right - left, 1):.1f}"'
        f' height="{_HEIGHT - _TOP - _BOTTOM}"><title>{title}</title></rect>'
    )


def _line(scale: _Scale, series: Series, kind: str, unit: str) -> str:
    x, y = np.asarray(series.x, float), np.asarray(series.y, float)
    kept = np.arange(len(y)) if series.dots else _extremes(y)
    x, y = x[kept], y[kept]
    known = np.isfinite(y) & np.isfinite(x)
    path, pen = [], "M"
    for left, top, seen in zip(scale.x(x), scale.y(y), known, strict=True):
        if seen:
            path.append(f"{pen}{left:.1f} {top:.1f}")
        pen = "L" if seen else "M"
    dots = ""
    if series.dots or known.sum() <= MAX_DOTS:
        # Each tells its values when pointed at; a lone value between gaps is seen at all.
        name = escape(series.name)
        dots = "".join(
            f'<circle class="{kind}" cx="{left:.1f}" cy="{top:.1f}" r="2.3"><title>{name}'
            f" at {place:.2f}{unit}: {value:.4g}</title></circle>"
            for left, top, place, value in zip(
                scale.x(x)[known], scale.y(y)[known], x[known], y[known], strict=True
            )
        )
    if series.dots:
        return dots
    return f'<path class="{kind}" d="{" ".join(path)}"/>{dots}' if path else ""


def _extremes(y: np.ndarray) -> np.ndarray:
    """Which points to draw: all of them, or the lowest and highest (NaN counts as lowest) of each
    small stretch."""
    if len(y) <= MAX_POINTS:
        return np.arange(len(y))
    stretches = np.array_split(np.arange(len(y)), MAX_POINTS // 2)
    height = np.where(np.isnan(y), -np.inf, y)
    return np.unique(
        [
            part[place]
            for part in stretches
            for place in (height[part].argmin(), height[part].argmax())
        ]
    )


def _swatch(kind: str, dots: bool = False) -> str:
    shape = f'<path class="{kind}" d="M0 6H22"/>'
    if kind == "shade":
        shape = '<rect class="shade" width="22" height="12"/>'
    elif dots:
        shape = f'<circle class="{kind}" cx="11" cy="6" r="3"/>'
    return f'<svg class="swatch" viewBox="0 0 22 12">{shape}</svg>'
