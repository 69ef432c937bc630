"""Speed of video-detect: both networks by engine, what memory across frames costs, encoding each
frame once against once a window, graphs by index lists against dense matrices, a film as a whole.

    python benchmarks/video-detect.py

CPU milliseconds of one thread, the least of several runs, all in one process, so that rows can be
compared with one another and not with those of another run. The film is the example that the
package brings, enlarged to 480 lines.
"""

import argparse
import os
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.console import Console

from video_detect import load
from video_detect.job import VideoJob
from video_detect.models.graph import GraphConvolution, edge_weights, nearest
from video_detect.networks import CLIP, FRAME, NETS, load_detector
from vitrail.bench import cpu_seconds
from vitrail.engine import prepare
from vitrail.preprocess.frames import open_frames
from vitrail.report import Table

EXAMPLE = Path(__file__).parents[1] / "packages" / "video-detect" / "examples" / "cat.mp4"
LINES, FRAMES = 480, 32
TOKENS, DIM, NEIGHBOURS = 2394, 256, 11  # of a frame of 600x1000 at stride 16
REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.parse_args()
    torch.set_num_threads(1)
    console = Console()
    for table in (networks(), windows(), graphs(), film()):
        console.print(table.title)
        for row in (table.columns, *table.rows):
            console.print(" | ".join(f"{c:.3g}" if isinstance(c, float) else str(c) for c in row))
        console.print()


def networks() -> Table:
    """Milliseconds a frame of the part that encodes it, and of the part that detects in a window,
    by what carries memory."""
    rows = []
    for net in NETS:
        detector = load_detector(net=net)
        window = int(detector.facts.config["window"])
        for engine in ("eager", "auto"):
            parts = {FRAME: (detector.frame, 1), f"{CLIP}, {net}": (detector.clip, window)}
            for name, (network, frames) in parts.items():
                if name == FRAME and net != NETS[0]:
                    continue
                ready = prepare(network, engine=engine, device="cpu")
                (item,) = (part[:1] for part in network.inputs)
                ready(item)
                spent = cpu_seconds(lambda ready=ready, item=item: ready(item), REPEATS)
                rows.append((name, engine, 1000 * spent / frames))
    return Table("Networks", ("part", "engine", "ms a frame"), rows)


def windows() -> Table:
    """A film with each frame encoded once, as the job does it, and once for each of its windows."""
    job, images = load(engine="eager", track=False), _film()
    assert isinstance(job, VideoJob)
    detector, settings = job.detector, job.settings
    step = settings.window - settings.overlap
    once = cpu_seconds(lambda: job.predict(images), 1)
    starts = range(0, len(images) - settings.overlap, step)
    frame, clip = (job.networks[one.name] for one in (detector.frame, detector.clip))
    seen = detector.frame.inputs[0][:1].repeat(settings.window, axis=0)

    def again() -> None:
        for _ in starts:
            clip(np.stack([frame(seen)]))

    return Table(
        f"{len(images)} frames in windows of {settings.window} that share {settings.overlap}",
        ("", "ms", "times"),
        [("each frame encoded once", 1000 * once, 1.0),
         ("once a window (networks alone)", 1000 * (spent := cpu_seconds(again, 1)), spent / once)],
    )  # fmt: skip


def graphs() -> Table:
    """One graph convolution over a frame's tokens, from index lists and by a dense matrix."""
    torch.manual_seed(0)
    tokens = torch.randn(1, TOKENS, DIM)
    indices, valid = nearest(tokens, NEIGHBOURS)
    layer = GraphConvolution(DIM, 1).eval()
    weights = edge_weights(indices, valid)

    @torch.inference_mode()
    def by_lists() -> torch.Tensor:
        return layer(tokens, indices, valid)

    @torch.inference_mode()
    def by_matrix() -> torch.Tensor:
        dense = torch.zeros(1, TOKENS, TOKENS).scatter_(2, indices, weights)
        return torch.nn.functional.leaky_relu(layer.layers[0](dense @ tokens), 0.2) + tokens

    assert torch.allclose(by_lists(), by_matrix(), atol=1e-4)
    lists, matrix = (cpu_seconds(work, REPEATS) for work in (by_lists, by_matrix))
    rows = [
        ("index lists", 1000 * lists, 1.0, _megabytes(indices, weights)),
        ("dense matrix", 1000 * matrix, matrix / lists, 4 * TOKENS**2 / 1e6),
    ]
    return Table(f"Graph over {TOKENS} tokens", ("", "ms", "times", "MB of the graph"), rows)


def film() -> Table:
    """The whole job, tracks and all."""
    images = _film()
    rows = []
    for net in ("single", "both"):
        job = load(engine="auto", net=net)
        job.predict(images[:8])
        spent = cpu_seconds(lambda job=job: job.predict(images), 1)
        rows.append((net, len(images) / spent))
    height, width = images.shape[1:3]
    return Table(f"A film of {width}x{height}", ("net", "frames a CPU second"), rows)


def _film() -> np.ndarray:
    with open_frames(EXAMPLE) as reader:
        count = min(FRAMES, reader.frame_count)
        found = [frame.image for frame in reader.frames(range(count))]
    scale = LINES / found[0].shape[0]
    return np.stack([cv2.resize(image, None, fx=scale, fy=scale) for image in found])


def _megabytes(*tensors: torch.Tensor) -> float:
    return sum(one.nbytes for one in tensors) / 1e6


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
