"""Damaged files of every format that the commands read: right, told of, or refused in a line."""

import json
import math
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from carla_drive.commands.setting import made_routes
from carla_drive.data import read_measurements, read_recording
from carla_drive.job import PerceptionJob, read_depth
from carla_drive.models import build_model
from carla_drive.models.config import LeTFuserConfig
from carla_drive.networks import CODE, DrivingNetwork, example
from carla_drive.roads.graph import build_graph
from carla_drive.roads.making import make_town
from carla_drive.roads.reading import read_map
from carla_drive.roads.routes import plan_route, read_routes, write_route
from carla_drive.roads.rules import build_rules
from carla_drive.roads.writing import write_map
from carla_drive.scoring.score import score_rows
from carla_drive.scoring.trace import read_trace
from carla_drive.world.depth import encode_depth
from carla_drive.writing import write
from vitrail.errors import VitrailError
from vitrail.preprocess.image import read_image
from vitrail.testing.media import pattern, write_picture
from vitrail.testing.mutants import mutate_bytes, rows_of_mutants

from .samples import file, road
from .test_models import SMALL

VARIANTS, LONGEST = 200, 10.0  # s


NUMBERS = ("", "x", "nan", "inf", "-1", "0", "0.5", "7", "1e9", "-1e9", "1e400", "99999999")


def survivors(mutants: Iterable[bytes], path: Path, read: Callable[[Path], Any]) -> list[Any]:
    """What ``read`` makes of the damaged variants that it does not refuse in one line."""
    found, refused = [], 0
    for mutant in mutants:
        path.write_bytes(mutant)
        start = time.monotonic()
        try:
            found.append(read(path))
        except VitrailError as error:
            refused += 1
            assert len(str(error).splitlines()) == 1
        assert time.monotonic() - start < LONGEST
    assert refused
    return found


def other_numbers(text: str, seed: int) -> Iterator[bytes]:
    """One or two numbers replaced by such as nobody would write."""
    places = [match.span() for match in re.finditer(r'(?<=")-?[\d.]+(?=")', text)]
    for variant in range(VARIANTS):
        rng, changed = random.Random(f"{seed}/{variant}"), text
        for start, end in sorted(rng.sample(places, rng.randint(1, 2)), reverse=True):
            changed = changed[:start] + rng.choice(NUMBERS) + changed[end:]
        yield changed.encode()


def ground_of(path: Path):
    graph = build_graph(read_map(path))
    return graph, build_rules(graph)


def test_streets_of_wrong_numbers(tmp_path):
    """What is left is a graph of finite lanes, or the map says what is wrong."""
    signal = (
        '<signals><signal id="7" s="50" t="4" dynamic="yes" type="1000001" orientation="+">'
        '<validity fromLane="-1" toLane="-1"/></signal></signals>'
        '<elevationProfile><elevation s="0" a="0" b="0.01" c="0" d="0"/></elevationProfile>'
    )
    text = file(road(length=60, geometry='<arc curvature="0.01"/>', extra=signal))
    found = survivors(other_numbers(text, seed=1), tmp_path / "m.xodr", ground_of)
    assert len(found) > 20
    for graph, rules in found:
        for lane in graph.lanes:
            assert np.isfinite(lane.points).all() and np.isfinite(lane.width).all()
        assert all(np.isfinite(light.place).all() for light in rules.lights)


def test_damaged_towns(tmp_path):
    data = write_map(make_town(2)).encode()
    for graph, _ in survivors(mutate_bytes(data, 2, VARIANTS), tmp_path / "m.xodr", ground_of):
        assert all(np.isfinite(lane.points).all() for lane in graph.lanes)


def test_damaged_routes(ground, tmp_path):
    (asked,) = made_routes(ground, 1, seed=4, least=60.0)
    points = [(*point[:2], 0.0) for point in asked.points.tolist()]
    write_route(tmp_path / "good.xml", points, ground.town)

    def planned(path: Path):
        return [plan_route(ground.graph, one) for one in read_routes(path)]

    data = (tmp_path / "good.xml").read_text()
    mutants = [*other_numbers(data, seed=3), *mutate_bytes(data.encode(), 3, VARIANTS)]
    found = survivors(mutants, tmp_path / "r.xml", planned)
    assert found
    for route in (one for routes in found for one in routes):
        assert np.isfinite(route.xyz).all() and 0 < route.length < 10_000


def test_damaged_traces(ground, route, tmp_path):
    rows = []
    for number in range(30):
        x, y, _ = route.xyz[number].tolist()
        actors = [[1, "vehicle", x + 20, y, 0.0, 4.4, 1.8]]
        light = {"state": "green", "distance": 30.0 - number / 2}
        ego = [x, y, math.degrees(route.yaw[number]), 5.0]
        rows.append(
            {
                "t": number / 5,
                "ego": ego,
                "control": [0.0, 0.3, 0.0],
                "actors": actors,
                "light": light,
            }
        )
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()

    def scored(path: Path):
        return score_rows(ground.graph, ground.rules, route, read_trace(path))

    found = survivors(mutate_bytes(data, 4, VARIANTS), tmp_path / "trace.jsonl", scored)
    assert found
    for score in found:
        assert 0 <= score.driving <= 100 and math.isfinite(score.kilometres)
        assert score.end != "completed"


class Says:
    """An engine that sees road everywhere."""

    name, device, weights = "says", "cpu", "0" * 64

    def __call__(self, *batch: np.ndarray) -> tuple[np.ndarray, ...]:
        count = len(batch[0])
        logits = np.zeros((count, 23, 160, 768), np.float32)
        logits[:, 7] = 1
        points, one = np.zeros((count, 3, 2), np.float32), np.zeros(count, np.float32)
        return logits, points, points[:, :1], one, one


@pytest.fixture
def job():
    network = DrivingNetwork(
        name="small",
        build=lambda: build_model("letfuser", SMALL),
        example=example(),
        weights=None,
        code=CODE,
        config=LeTFuserConfig(**SMALL),
    )
    job = PerceptionJob(network, engine="eager")
    job.networks = {"small": Says()}
    return job


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_damaged_frames(job, suffix, tmp_path, capfd, monkeypatch):
    """Each has the size that Pillow reads, or a reason; a PNG, which has checksums, is right."""
    monkeypatch.setattr("sys.argv", ["carla-drive"])
    data = write_picture(tmp_path / f"good{suffix}", pattern(24, 24)).read_bytes()
    mutants = list(mutate_bytes(data, seed=5, count=VARIANTS))
    rows = rows_of_mutants("carla-drive", job, write, mutants, tmp_path, suffix, capfd)
    done = [row for row in rows if row["status"] == "done"]
    assert len(done) < len(rows) and (done or suffix == ".png")
    whole = read_image(tmp_path / f"good{suffix}")
    for row in done:
        with Image.open(row["source"]) as image:
            assert image.size == read_image(row["source"]).shape[1::-1]
        if suffix == ".png":
            assert np.array_equal(read_image(row["source"]), whole)


def test_damaged_depth(tmp_path):
    """PNG has checksums: what is read is what was written."""
    metres = np.broadcast_to(np.linspace(2, 300, 32)[:, None], (32, 48))
    Image.fromarray(encode_depth(metres)).save(tmp_path / "good.png")
    data = (tmp_path / "good.png").read_bytes()

    def read(path: Path):
        return read_depth(path, (32, 48))[0]

    for depth in survivors(mutate_bytes(data, 6, VARIANTS), tmp_path / "depth.png", read):
        assert np.allclose(depth, metres, atol=0.01)


def test_damaged_measurements(tmp_path):
    names = ("x", "y", "theta", "speed", "x_command", "y_command", "steer", "throttle")
    good = dict.fromkeys(names, 1.5) | {"brake": False, "command": 4}
    data = json.dumps(good, indent=1).encode()
    mutants = mutate_bytes(data, 7, VARIANTS)
    for row in survivors(mutants, tmp_path / "0000.json", read_measurements):
        assert all(math.isfinite(row[name]) for name in names) and isinstance(row["command"], int)


def test_damaged_indices(tmp_path):
    rows = [{"frame": f"town/1-{n:04d}", "name": "0000", "town": "town"} for n in range(4)]
    data = json.dumps({"depth_order": "carla", "frames": rows}, indent=1).encode()

    def read(path: Path):
        return read_recording(path.parent)

    for found in survivors(mutate_bytes(data, 8, VARIANTS), tmp_path / "index.json", read):
        assert found.depth_order in ("carla", "swapped")
        assert all(frame.folder.is_relative_to(tmp_path.resolve()) for frame in found.frames)
