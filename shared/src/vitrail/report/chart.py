"""A line chart over time or over any other number, as an SVG picture without scripts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitrail.report.markup import escape

_WIDTH, _HEIGHT = 760, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 14, 28, 38
_COLOURS = 6
_MOST_POINTS = 1500  # about two for every horizontal unit; more cannot be seen
_MOST_DOTS = 120
_CLOCK_FROM = 90  # seconds; longer spans read better in minutes


@dataclass(frozen=True)
class Series:
    """A named line: ``x`` ascending and ``y`` of the same length; a NaN in ``y`` interrupts the
    line."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


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
        """A figure: the SVG picture, which scrolls sideways where the window is narrow, and a
        legend under it."""
        return (
            f'<figure class="chart"><figcaption>{escape(self.title)}</figcaption>'
            f'<div class="scroll">{self.to_svg()}</div><p class="legend">{self._legend()}</p></figure>'
        )

    def to_svg(self) -> str:
        """The picture alone; its colours come from the page's style sheet."""
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
                f'<line class="threshold" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
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
            (f"s{number % _COLOURS}", series.name) for number, series in enumerate(self.series)
        ]
        if self.threshold is not None:
            entries.append(("threshold", f"threshold {self.threshold:.3g}"))
        if self.shaded:
            entries.append(("shade", self.shaded_label))
        return "".join(f"<span>{_swatch(kind)}{escape(name)}</span>" for kind, name in entries)

    def _x_range(self) -> tuple[float, float]:
        ends = [x for series in self.series for x in (series.x[:1], series.x[-1:])]
        return _range(
            [
                *(float(x[0]) for x in ends if len(x)),
                *(end for interval in self.shaded for end in interval),
            ]
        )

    def _y_range(self) -> tuple[float, float]:
        if self.y_range is not None:
            return self.y_range
        values = [float(y) for series in self.series for y in series.y]
        low, high = _range(values if self.threshold is None else [*values, self.threshold])
        margin = 0.05 * (high - low)
        return low - margin, high + margin


@dataclass(frozen=True)
class _Scale:
    """Data coordinates to those of the picture."""

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


def _range(values: Sequence[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers within [low, high], at most about ``most``, in steps of 1, 2 or 5 times a power
    of ten."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    return _multiples(
        low,
        high,
        next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999),
    )


def _time_ticks(low: float, high: float) -> list[float]:
    if high - low < _CLOCK_FROM:
        return _ticks(low, high, 10)
    steps = (10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)
    return _multiples(
        low, high, next((step for step in steps if step * 10 >= high - low), (high - low) / 10)
    )


def _multiples(low: float, high: float, step: float) -> list[float]:
    return [
        step * number
        for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def _clock(seconds: float, span: float) -> str:
    if span < _CLOCK_FROM:
        return f"{seconds:.4g}"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _grid(scale: _Scale, x_label: str, y_label: str) -> list[str]:
    low, high = scale.x_range
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value in _ticks(*scale.y_range, 5):
        y = scale.y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    ticks = _ticks(low, high, 10) if x_label else _time_ticks(low, high)
    for value in ticks:
        x = scale.x(value)
        shown = f"{value:.4g}" if x_label else _clock(value, high - low)
        parts.append(
            f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>'
        )
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{shown}</text>')
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    time = "time in seconds" if high - low < _CLOCK_FROM else "time (minutes:seconds)"
    parts.append(
        f'<text x="{right}" y="{_HEIGHT - 6}" text-anchor="end">{escape(x_label or time)}</text>'
    )
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
    kept = _extremes(y)
    x, y = x[kept], y[kept]
    known = np.isfinite(y)
    path, pen = [], "M"
    for left, top, seen in zip(scale.x(x), scale.y(y), known, strict=True):
        if seen:
            path.append(f"{pen}{left:.1f} {top:.1f}")
        pen = "L" if seen else "M"
    dots = ""
    if (
        known.sum() <= _MOST_DOTS
    ):  # each tells its values when pointed at; a lone value between gaps is seen at all
        dots = "".join(
            f'<circle class="{kind}" cx="{left:.1f}" cy="{top:.1f}" r="2.3"><title>{escape(series.name)}'
            f" at {place:.2f}{unit}: {value:.4g}</title></circle>"
            for left, top, place, value in zip(
                scale.x(x)[known], scale.y(y)[known], x[known], y[known], strict=True
            )
        )
    return f'<path class="{kind}" d="{" ".join(path)}"/>{dots}' if path else ""


def _extremes(y: np.ndarray) -> np.ndarray:
    """Which points to draw: all of them, or the lowest and highest (NaN counts as lowest) of each
    small stretch."""
    if len(y) <= _MOST_POINTS:
        return np.arange(len(y))
    stretches = np.array_split(np.arange(len(y)), _MOST_POINTS // 2)
    height = np.where(np.isnan(y), -np.inf, y)
    return np.unique(
        [
            part[place]
            for part in stretches
            for place in (height[part].argmin(), height[part].argmax())
        ]
    )


def _swatch(kind: str) -> str:
    if kind == "shade":
        return '<svg class="swatch" viewBox="0 0 22 12"><rect class="shade" width="22" height="12"/></svg>'
    return f'<svg class="swatch" viewBox="0 0 22 12"><path class="{kind}" d="M0 6H22"/></svg>'
