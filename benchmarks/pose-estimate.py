"""Speed of pose-estimate: crops a second beside transformers' ViTPose and BlazePose, a photograph
as a whole, people of one picture together, fewer patches, decoding.

    python benchmarks/pose-estimate.py
    python benchmarks/pose-estimate.py --blazepose runs/teacher/pose_landmark_full.tflite

CPU milliseconds of one thread, the least of several runs, all in one process, so that rows can be
compared with one another and not with those of another run. ViTPose-S has random weights, the same
on both sides, which change no time; the crops are cut out of the example that the package brings.
BlazePose is run by OpenVINO on its own crops of 256x256; its file is in the wheel mediapipe
0.10.14.
"""

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from rich.console import Console

from pose_estimate import load
from pose_estimate.networks import POSE
from pose_estimate.pose.decode import decode, frames_of_crops, largest
from vitrail.bench import cpu_seconds
from vitrail.preprocess.image import read_image
from vitrail.report import Table

EXAMPLE = Path(__file__).parents[1] / "packages" / "pose-estimate" / "examples" / "astronaut.jpg"
CROPS, PEOPLE, DECODED = 8, 12, 100
REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--blazepose", type=Path, help="pose_landmark_full.tflite")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console = Console()
    for table in (networks(arguments.blazepose), whole(), together(), decoding()):
        console.print(table.title)
        for row in (table.columns, *table.rows):
            console.print(" | ".join(f"{c:.3g}" if isinstance(c, float) else str(c) for c in row))
        console.print()


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of the cheapest of some runs, after one that nobody times."""
    work()
    return cpu_seconds(work, REPEATS)


def networks(blazepose: Path | None) -> Table:
    """Milliseconds a crop; the factor is over the row that is named."""
    rows: list[tuple[object, ...]] = []
    bundled = {
        f"evitpose, {engine}, keep {keep:g}": _ours(None, engine, keep)
        for engine in ("eager", "auto")
        for keep in (1.0, 0.5)
    }
    with TemporaryDirectory() as folder:
        port, crops = _port(Path(folder))
        vitpose = {
            "ViTPose-S, transformers": partial(_ask, port, crops),
            "ViTPose-S, ours, eager": _ours(folder, "eager", 1.0),
            "ViTPose-S, ours, auto": _ours(folder, "auto", 1.0),
        }
        for group in (bundled, vitpose):
            first = None
            for name, work in group.items():
                spent = seconds(work) / CROPS
                first = first or spent
                rows.append((name, 1000 * spent, first / spent))
    if blazepose is None:
        rows.append(("BlazePose full", "left out: --blazepose names its file", ""))
    else:
        rows.append(("BlazePose full", 1000 * seconds(_blazepose(blazepose)) / CROPS, ""))
    return Table(f"{CROPS} crops", ("network", "ms a crop", "times the group's first row"), rows)


def _ours(folder: str | None, engine: str, keep: float) -> Callable[[], object]:
    weights = None if folder is None else f"{folder}/model.safetensors"
    job = load(weights, whole_image=True, engine=engine, keep=keep)
    crops = np.repeat(job.network.example[:1], CROPS, axis=0)
    return partial(job.networks[POSE], crops)


def _port(folder: Path) -> tuple[torch.nn.Module, torch.Tensor]:
    """ViTPose-S of transformers, stored in ``folder``, and crops for it."""
    from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation

    backbone = VitPoseBackboneConfig(
        image_size=[256, 192], hidden_size=384, num_hidden_layers=12, num_attention_heads=12
    )
    labels = {number: str(number) for number in range(17)}
    config = VitPoseConfig(backbone_config=backbone, use_simple_decoder=False, id2label=labels)
    port = VitPoseForPoseEstimation(config).eval().requires_grad_(False)
    port.save_pretrained(folder)
    return port, torch.randn(CROPS, 3, 256, 192)


def _ask(network: torch.nn.Module, crops: torch.Tensor) -> object:
    with torch.inference_mode():
        return network(crops).heatmaps


def _blazepose(path: Path) -> Callable[[], object]:
    import openvino

    core = openvino.Core()
    network = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_NUM_THREADS": 1})
    crop = np.zeros((1, 256, 256, 3), np.float32)
    return lambda: [network([crop]) for _ in range(CROPS)]


def whole() -> Table:
    """The example from file to joints, with the bundled finder and with a given box."""
    job = load(engine="auto")
    box = np.array([[60.0, 10, 300, 480]])
    rows = [
        ("people found", 1000 * seconds(lambda: job.predict(EXAMPLE))),
        ("box given", 1000 * seconds(lambda: job.predict(EXAMPLE, box))),
    ]
    return Table("One photograph", ("", "ms"), rows)


def together() -> Table:
    """All people of one picture in one call, and one call for each."""
    image = read_image(EXAMPLE)
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 200, (PEOPLE, 2))
    boxes = np.concatenate((low, rng.uniform(100, 250, (PEOPLE, 2))), axis=1)
    job = load(engine="auto", whole_image=True, keep_all=True)
    once = seconds(lambda: job.predict(image, boxes))
    single = seconds(lambda: [job.predict(image, box[None]) for box in boxes])
    rows = [("one call", 1000 * once, once / single), ("a call each", 1000 * single, 1.0)]
    return Table(f"{PEOPLE} people in one picture", ("", "ms", "share"), rows)


def decoding() -> Table:
    """Heat maps to joints: all at once, and map by map as the releases do."""
    maps = np.random.default_rng(0).random((DECODED, 17, 64, 48)).astype(np.float32)
    job = load(whole_image=True, engine="eager")
    frames = frames_of_crops(job.network.shape, DECODED)
    at_once = seconds(lambda: decode(maps, frames))
    one_by_one = seconds(lambda: _map_by_map(maps))
    rows = [("all at once", 1000 * at_once, one_by_one / at_once),
            ("map by map", 1000 * one_by_one, 1.0)]  # fmt: skip
    return Table(f"Decoding of {DECODED} people", ("", "ms", "times as fast"), rows)


def _map_by_map(maps: np.ndarray) -> np.ndarray:
    """DARK's step in unbiased coordinates for one joint after the other."""
    cells, _ = largest(maps)
    places = np.zeros_like(cells)
    for person, of_person in enumerate(maps):
        for joint, one in enumerate(of_person):
            blurred = np.log(
                np.clip(cv2.GaussianBlur(one.astype(np.float64), (11, 11), 0), 1e-3, 50)
            )
            wide = np.pad(blurred, 1, mode="edge")
            x, y = np.maximum(cells[person, joint], 0).astype(int)
            near = wide[y : y + 3, x : x + 3]
            slope = np.array([near[1, 2] - near[1, 0], near[2, 1] - near[0, 1]]) / 2
            xx = near[1, 2] - 2 * near[1, 1] + near[1, 0]
            yy = near[2, 1] - 2 * near[1, 1] + near[0, 1]
            xy = (near[2, 2] + near[0, 0] + 2 * near[1, 1]
                  - near[1, 2] - near[1, 0] - near[2, 1] - near[0, 1]) / 2  # fmt: skip
            hessian = np.array([[xx, xy], [xy, yy]]) + np.eye(2) * np.finfo(np.float32).eps
            places[person, joint] = (x, y) - np.linalg.pinv(hessian) @ slope
    return places


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
