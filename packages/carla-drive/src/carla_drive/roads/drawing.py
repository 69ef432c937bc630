"""A map from above."""

import numpy as np
from PIL import Image, ImageDraw

from carla_drive.roads.graph import LaneGraph
from carla_drive.roads.routes import Route
from carla_drive.roads.rules import Rules

SIDE = 1600  # px of the longer side
PAPER, PAVEMENT, LANE, INSIDE = (250, 249, 246), (214, 210, 204), (120, 124, 132), (150, 152, 158)
LIGHT, SIGN, ROUTE = (40, 160, 90), (200, 40, 40), (40, 110, 220)


def draw_map(graph: LaneGraph, rules: Rules, route: Route | None = None) -> Image.Image:
    """Lanes in grey, lights green, stop signs red, dead ends as crosses; y grows downwards, as
    CARLA's does."""
    low, high = graph.all_points.min(axis=0) - 15, graph.all_points.max(axis=0) + 15
    scale = SIDE / float((high - low).max())
    size = np.maximum(((high - low) * scale).astype(int), 1)
    image = Image.new("RGB", tuple(size.tolist()), PAPER)
    pen = ImageDraw.Draw(image)

    def place(points: np.ndarray) -> list[tuple[float, float]]:
        moved = (np.asarray(points).reshape(-1, np.asarray(points).shape[-1])[:, :2] - low) * scale
        return [tuple(point) for point in moved.tolist()]

    for strip in graph.strips:
        if strip.kind == "sidewalk":
            pen.polygon([*place(strip.inner), *place(strip.outer[::-1])], PAVEMENT)
    for lane in graph.lanes:
        tone = INSIDE if lane.junction is not None else LANE
        pen.line(place(lane.points), tone, max(1, round(float(lane.width.mean()) * scale * 0.9)))
    if route is not None:
        pen.line(place(route.xyz), ROUTE, max(2, round(1.6 * scale)))
    radius = max(3, 1.5 * scale)
    for signals, tone in ((rules.lights, LIGHT), (rules.signs, SIGN)):
        for signal in signals:
            ((x, y),) = place(signal.place)
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), tone)
    for lane in graph.dead_ends():
        ((x, y),) = place(lane.points[-1])
        pen.line((x - 8, y - 8, x + 8, y + 8), SIGN, 3)
        pen.line((x - 8, y + 8, x + 8, y - 8), SIGN, 3)
    return image
