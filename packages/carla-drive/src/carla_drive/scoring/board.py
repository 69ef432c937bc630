"""A drive as a film: cameras, a bird's-eye view, what was meant and what was done."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from carla_drive.roads.graph import LaneGraph
from carla_drive.roads.routes import Command, Route
from carla_drive.world.boxes import corners
from carla_drive.world.interface import EGO_SIZE, Observation, local

WIDTH, STRIP_HEIGHT, PANEL = 960, 160, 400
VIEW = 56.0  # m shown ahead
PAPER, ROADS, ROUTE = (24, 26, 30), (62, 66, 74), (64, 128, 220)
TONES = {"vehicle": (236, 180, 60), "pedestrian": (235, 80, 90), "static": (105, 110, 118)}
LIGHTS = {"red": (235, 60, 50), "yellow": (240, 190, 50), "green": (70, 210, 110)}


class Board:
    """Draws frames of one route."""

    def __init__(self, graph: LaneGraph, route: Route):
        self.graph, self.route = graph, route
        self._font = ImageFont.load_default(15)
        self._driven: list[tuple[float, float]] = []

    def frame(
        self,
        row: Mapping[str, Any],
        seen: Observation | None = None,
        meant: np.ndarray | None = None,
        lines: Sequence[str] = (),
    ) -> np.ndarray:
        """(H, W, 3) uint8 of one row of a trace; the cameras where ``seen`` has them."""
        x, y, degrees, speed = row["ego"]
        self._driven.append((x, y))
        panel = self._view(row, x, y, math.radians(degrees), meant)
        pen = ImageDraw.Draw(panel)
        steer, throttle, brake = row["control"]
        light = row["light"]
        texts = [
            f"{row['t']:6.1f} s   {3.6 * speed:4.1f} km/h",
            f"steer {steer:+.2f}   throttle {throttle:.2f}   brake {brake:.2f}",
            "light " + (f"{light['state']}, {light['distance']:.0f} m" if light else "none ahead"),
            *lines,
        ]
        for number, text in enumerate(texts):
            pen.text((16, 14 + 22 * number), text, (232, 234, 238), self._font)
        if light:
            pen.ellipse((WIDTH - 44, 14, WIDTH - 16, 42), LIGHTS[light["state"]])
        self._bars(pen, steer, throttle, brake)
        parts = [np.asarray(panel)]
        if seen is not None and seen.pictures:
            parts.insert(0, _strip(seen))
        return np.concatenate(parts)

    def _bars(self, pen: ImageDraw.ImageDraw, steer: float, throttle: float, brake: float) -> None:
        top = PANEL - 60
        for number, (value, tone) in enumerate(
            ((throttle, (70, 200, 110)), (brake, (230, 80, 70)))
        ):
            left = 16 + 34 * number
            pen.rectangle((left, top - 60, left + 24, top + 40), outline=(110, 114, 120))
            pen.rectangle((left, top + 40 - 100 * min(value, 1), left + 24, top + 40), tone)
        pen.line((110, top + 28, 230, top + 28), (110, 114, 120), 3)
        middle = 170 + 60 * min(max(steer, -1), 1)
        pen.ellipse((middle - 8, top + 20, middle + 8, top + 36), (232, 234, 238))

    def _view(self, row, x: float, y: float, yaw: float, meant: np.ndarray | None) -> Image.Image:
        image = Image.new("RGB", (WIDTH, PANEL), PAPER)
        pen = ImageDraw.Draw(image)
        scale = PANEL / (VIEW * 1.3)

        def place(points: np.ndarray) -> list[tuple[float, float]]:
            ahead, right = local(np.asarray(points).reshape(-1, 2), x, y, yaw).T
            return list(
                zip(
                    (WIDTH / 2 + right * scale).tolist(),
                    (PANEL * 0.78 - ahead * scale).tolist(),
                    strict=True,
                )
            )

        for lane in self.graph.lanes:
            if (
                np.hypot(*(lane.points[:: max(1, len(lane.s) // 8), :2] - (x, y)).T).min()
                > VIEW * 2
            ):
                continue
            pen.line(
                place(lane.points[:, :2]),
                ROADS,
                max(2, int(lane.width.mean() * scale)),
                joint="curve",
            )
        near = np.hypot(*(self.route.xyz[:, :2] - (x, y)).T) < VIEW * 1.6
        for run in np.split(
            np.flatnonzero(near), np.flatnonzero(np.diff(np.flatnonzero(near)) > 1) + 1
        ):
            if len(run) > 1:
                pen.line(place(self.route.xyz[run, :2]), ROUTE, 4)
        if len(self._driven) > 1:
            pen.line(place(np.array(self._driven[-400:])), (180, 184, 190), 2)
        for actor in row["actors"]:
            box = np.array([actor[2], actor[3], math.radians(actor[4]), actor[5], actor[6]])
            pen.polygon(place(corners(box)[0]), TONES[actor[1]])
        pen.polygon(place(corners(np.array([x, y, yaw, *EGO_SIZE]))[0]), (90, 200, 250))
        if meant is not None and len(meant):
            for right, back in np.asarray(meant).tolist():
                px, py = WIDTH / 2 + right * scale, PANEL * 0.78 + back * scale
                pen.ellipse((px - 4, py - 4, px + 4, py + 4), (250, 250, 120))
        return image


def _strip(seen: Observation) -> np.ndarray:
    pictures = [
        seen.pictures[name].rgb for name in ("left", "front", "right") if name in seen.pictures
    ]
    pictures = pictures or [picture.rgb for picture in seen.pictures.values()]
    strip = np.concatenate(pictures, axis=1)
    if strip.shape[1] == WIDTH:
        return strip
    height = max(2, round(strip.shape[0] * WIDTH / strip.shape[1]))
    return np.asarray(Image.fromarray(strip).resize((WIDTH, height)))


def command_name(command: int) -> str:
    return Command(command).name.replace("_", " ")
