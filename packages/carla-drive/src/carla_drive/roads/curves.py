"""Curves of OpenDRIVE: piecewise cubics, and the reference line of a road."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(5)
_PIECES = 8  # of a spiral, integrated with five nodes each: exact to 1e-9 m at road sizes


@dataclass(frozen=True)
class Cubic:
    """a + b d + c d^2 + d d^3 of the distance d since the last of ``starts``; 0 without rows.

    ``rows`` is (N, 5): start, a, b, c, d, in rising order of the start.
    """

    rows: np.ndarray = field(default_factory=lambda: np.zeros((0, 5)))

    def __call__(self, s: np.ndarray) -> np.ndarray:
        if not len(self.rows):
            return np.zeros_like(s)
        number = np.clip(np.searchsorted(self.rows[:, 0], s, "right") - 1, 0, None)
        start, a, b, c, d = self.rows[number].T
        past = s - start
        return a + past * (b + past * (c + past * d))


Kind = Literal["line", "arc", "spiral", "poly3", "paramPoly3"]


@dataclass(frozen=True)
class Geometry:
    """One piece of a reference line from ``s`` on, as the file has it.

    ``numbers`` are those of the kind: none, (curvature,), (curvStart, curvEnd), (a, b, c, d), or
    (aU, bU, cU, dU, aV, bV, cV, dV) with ``normalised`` for a parameter of 0..1.
    """

    s: float
    x: float
    y: float
    heading: float
    length: float
    kind: Kind
    numbers: tuple[float, ...] = ()
    normalised: bool = False

    def at(self, past: np.ndarray) -> np.ndarray:
        """(N, 3) x, y and heading at distances ``past`` (N,) since its start."""
        u, v, turn = _LOCAL[self.kind](self, past)
        cos, sin = np.cos(self.heading), np.sin(self.heading)
        return np.stack(
            [self.x + u * cos - v * sin, self.y + u * sin + v * cos, self.heading + turn], axis=1
        )


def _line(piece: Geometry, past: np.ndarray) -> tuple[np.ndarray, ...]:
    return past, np.zeros_like(past), np.zeros_like(past)


def _arc(piece: Geometry, past: np.ndarray) -> tuple[np.ndarray, ...]:
    (curvature,) = piece.numbers
    if abs(curvature) < 1e-12:
        return _line(piece, past)
    turn = past * curvature
    return np.sin(turn) / curvature, (1 - np.cos(turn)) / curvature, turn


def _spiral(piece: Geometry, past: np.ndarray) -> tuple[np.ndarray, ...]:
    first, last = piece.numbers
    rate = (last - first) / piece.length if piece.length else 0.0

    def turn(s: np.ndarray) -> np.ndarray:
        return s * (first + 0.5 * rate * s)

    width = past[:, None, None] / _PIECES
    nodes = width * (np.arange(_PIECES)[:, None] + 0.5 + 0.5 * _NODES)
    u = (np.cos(turn(nodes)) * _WEIGHTS * 0.5 * width).sum(axis=(1, 2))
    v = (np.sin(turn(nodes)) * _WEIGHTS * 0.5 * width).sum(axis=(1, 2))
    return u, v, turn(past)


def _poly3(piece: Geometry, past: np.ndarray) -> tuple[np.ndarray, ...]:
    """v(u) is given, s is the way along it: u is found from the length so far."""
    a, b, c, d = piece.numbers
    grid = np.linspace(0, max(piece.length, 1e-9), 257)
    steps = np.hypot(np.diff(grid), np.diff(a + grid * (b + grid * (c + grid * d))))
    u = np.interp(past, np.concatenate([[0], np.cumsum(steps)]), grid)
    return u, a + u * (b + u * (c + u * d)), np.arctan(b + u * (2 * c + u * 3 * d))


def _param_poly3(piece: Geometry, past: np.ndarray) -> tuple[np.ndarray, ...]:
    (au, bu, cu, du), (av, bv, cv, dv) = piece.numbers[:4], piece.numbers[4:]
    p = past / piece.length if piece.normalised and piece.length else past
    u = au + p * (bu + p * (cu + p * du))
    v = av + p * (bv + p * (cv + p * dv))
    slope_u, slope_v = bu + p * (2 * cu + p * 3 * du), bv + p * (2 * cv + p * 3 * dv)
    return u, v, np.arctan2(slope_v, slope_u)


_LOCAL = {
    "line": _line,
    "arc": _arc,
    "spiral": _spiral,
    "poly3": _poly3,
    "paramPoly3": _param_poly3,
}


def reference_line(pieces: Sequence[Geometry], s: np.ndarray) -> np.ndarray:
    """(N, 3) x, y, heading at ``s`` (N,) of a road with these ``pieces``."""
    starts = np.array([piece.s for piece in pieces])
    number = np.clip(np.searchsorted(starts, s + 1e-9, "right") - 1, 0, None)
    line = np.empty((len(s), 3))
    for index, piece in enumerate(pieces):
        inside = number == index
        if inside.any():
            line[inside] = piece.at(s[inside] - piece.s)
    return line
