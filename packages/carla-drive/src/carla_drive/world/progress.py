"""How far along its route a car is, and which control comes next there."""

import math

import numpy as np

from carla_drive.roads.routes import Route
from carla_drive.roads.rules import Control, Rules

WINDOW = 40.0  # m ahead in which the nearest point of the route is looked for
BACK = 4.0  # m that it may lie behind: noise, not driving back


class Progress:
    """Follows a car along a route: ``index`` of the nearest point, which only a loop or a shortcut
    beyond WINDOW could confuse; ``best`` the farthest so far."""

    def __init__(self, route: Route):
        self.route, self.index, self.best = route, 0, 0
        self.distance = 0.0  # m from the route

    def update(self, x: float, y: float) -> None:
        s = self.route.s
        low, high = np.searchsorted(s, (s[self.index] - BACK, s[self.index] + WINDOW))
        apart = np.hypot(self.route.xyz[low:high, 0] - x, self.route.xyz[low:high, 1] - y)
        self.index = int(low + apart.argmin())
        self.distance = float(apart.min())
        if self.distance < 8.0:
            self.best = max(self.best, self.index)

    @property
    def completion(self) -> float:
        """0..1 of the route's length; its last 2 m are the end."""
        driven = self.route.s[self.best]
        return 1.0 if driven >= self.route.length - 2.0 else float(driven / self.route.length)

    def next_control(
        self, rules: Rules, kind: str, front: float, reach: float = 50.0
    ) -> tuple[Control, float] | None:
        """The next stop line of ``kind`` ahead, and metres to it from ``front`` metres before the
        car's middle; None where there is none within ``reach``."""
        best: tuple[Control, float] | None = None
        for control, line in controls_along(self.route, rules):
            away = line - self.route.s[self.index] - front
            if control.kind == kind and 0 <= away < reach and (best is None or away < best[1]):
                best = (control, float(away))
        return best


_known: dict[int, tuple[Route, Rules, list[tuple[Control, float]]]] = {}


def controls_along(route: Route, rules: Rules) -> list[tuple[Control, float]]:
    """Every control that holds along a route, with the metres at which its line lies."""
    held = _known.get(id(route))
    if held is not None and held[0] is route and held[1] is rules:
        return held[2]
    found = []
    starts = np.flatnonzero(np.diff(route.lane, prepend=-1))
    for start in starts:
        control = rules.controls.get(int(route.lane[start]))
        if control is not None:
            line = float(route.s[start]) + control.s
            if line > 0 and math.isfinite(line):
                found.append((control, line))
    while len(_known) > 64:
        _known.pop(next(iter(_known)))
    _known[id(route)] = (route, rules, found)
    return found
