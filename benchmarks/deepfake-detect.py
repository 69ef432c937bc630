"""Speed and memory of GenConViT at full size, whole job and networks alone, against the official
order of work.

    python benchmarks/deepfake-detect.py
    python benchmarks/deepfake-detect.py --official FOLDER    # a checkout of the official code as a
    second peer

The first peer is rebuilt here from our own layers, so that only the order differs: float32 in plain
PyTorch, network A's image and reconstruction one after the other, network B's mean three times and
its variance once. The official code also holds in memory a Swin that it never calls and its
checkpoint a second time. The released weights could not be had; every tensor follows a formula,
which changes neither time nor memory.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import chdir
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from deepfake_detect.decide.crops import CropRule
from deepfake_detect.job import DeepfakeJob, Options
from deepfake_detect.model import GenConViTED, GenConViTVAE, build_model
from deepfake_detect.networks import FakeNetwork, load_networks
from vitrail.engine import ENGINES, prepare
from vitrail.errors import MissingError, UsageError
from vitrail.faces.detector import load_finder
from vitrail.preprocess.image import normalise
from vitrail.preprocess.video import open_video
from vitrail.runner import run
from vitrail.sources import Source
from vitrail.testing.media import write_clip
from vitrail.testing.parity import formula_tensor

CROPS = 15  # of one video, as many as the release takes
GROWTH = (1, 4, CROPS)
VIDEOS = (1, 4, 16)
FRAMES = (15, 60, 240)
BATCH = 16
REPEATS = 3
PORTRAIT = Path(__file__).parents[1] / "packages/deepfake-detect/examples/portrait.mp4"
NETWORKS = {"ed": "genconvit-ed", "vae": "genconvit-vae"}

Infer = Callable[[Tensor], Tensor]
Run = Callable[[np.ndarray], np.ndarray]


class Plain:
    """A function of tensors in the place of an engine."""

    device, weights = "cpu", ""

    def __init__(self, name: str, infer: Infer):
        self.name, self.infer = name, infer

    @torch.inference_mode()
    def __call__(self, batch: np.ndarray) -> np.ndarray:
        return self.infer(torch.from_numpy(batch)).float().numpy()


def official_ed(model: GenConViTED, image: Tensor) -> Tensor:
    reconstruction = model.reconstruct(image)
    return model.head(
        of_reconstruction=model.backbone(reconstruction), of_image=model.backbone(image)
    )


def official_vae(model: GenConViTVAE, var: nn.Linear, image: Tensor) -> Tensor:
    features = model.encoder.features(image).flatten(1)
    var(features)
    mu, _, _ = (model.encoder.mu(features) for _ in range(3))
    reconstruction = model.decoder(mu.unflatten(1, model.encoder.latent_shape))
    return model.head(model.backbone(image), model.backbone(reconstruction))


def official_order(name: str, model: nn.Module) -> Infer:
    if name == "ed":
        return partial(official_ed, model)
    with torch.device("meta"):
        var = nn.Linear(model.encoder.mu.in_features, model.encoder.mu.out_features)
    var.load_state_dict(
        {key: value.clone() for key, value in model.encoder.mu.state_dict().items()}, assign=True
    )
    return partial(official_vae, model, var)


def official_code(folder: Path, name: str, model: nn.Module) -> Infer:
    """The network of the official repository in ``folder``, with our weights and without its
    noise."""
    import timm

    sys.path.insert(0, str(folder))
    build = timm.create_model
    untrained = mock.patch(
        "timm.create_model",
        lambda *names, **options: build(*names, **{**options, "pretrained": False}),
    )
    with untrained, chdir(folder):  # it reads its configuration from the working folder
        from model import config, genconvit_ed, genconvit_vae

        network = {"ed": genconvit_ed.GenConViTED, "vae": genconvit_vae.GenConViTVAE}[name](
            config.load_config()
        )
    unexpected = network.load_state_dict(model.state_dict(), strict=False).unexpected_keys
    assert not unexpected, unexpected
    network.eval()

    def infer(image: Tensor) -> Tensor:
        with mock.patch("torch.randn_like", torch.zeros_like):
            logits = network(image)
        return logits if name == "ed" else logits[0]

    return infer


def network(name: str, fill: Callable[[str, tuple[int, ...]], Tensor]) -> nn.Module:
    with torch.device("meta"):
        model = build_model(NETWORKS[name], {}).eval()
    model.load_state_dict(
        {key: fill(key, value.shape) for key, value in model.state_dict().items()}, assign=True
    )
    return model


def crops(number: int) -> np.ndarray:
    return normalise(np.random.default_rng(0).integers(0, 256, (number, 224, 224, 3), np.uint8))


def peak_memory(name: str, order: str) -> list[int]:
    """MiB that a process of its own has needed by the time it scored each of the ``GROWTH`` numbers
    of crops."""
    model = network(name, lambda key, shape: torch.full(shape, 1e-3))
    infer = Plain(order, model if order == "ours" else official_order(name, model))
    peaks = []
    for number in GROWTH:
        infer(crops(number))
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    return peaks


def fastest(
    variants: dict[str, Run], batch: np.ndarray
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Seconds of the fastest of some runs of each, in turn, so that a busy moment strikes them all;
    and the outputs."""
    seconds, outputs = {name: [] for name in variants}, {}
    for _ in range(REPEATS):
        for name, infer in variants.items():
            started = time.perf_counter()
            outputs[name] = infer(batch)
            seconds[name].append(time.perf_counter() - started)
    return {name: min(runs) for name, runs in seconds.items()}, outputs


def engines(network: FakeNetwork) -> dict[str, Run]:
    """Our order under every engine that is installed and can run it."""
    found = {}
    for name in ENGINES:
        if name in ("auto", "compile"):  # one of the others; minutes of compiling
            continue
        try:
            engine = prepare(network, engine=name, device="cpu")
            engine(crops(2))  # converts and compiles
            found[name] = engine
        except (MissingError, UsageError) as error:
            print(f"left out: {error}")
    return found


def print_table(title: str, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    lines = [list(header), *rows]
    lines.insert(1, ["---"] * len(lines[0]))
    print(f"\n{title}\n")
    for line in lines:
        print(
            "| "
            + " | ".join(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in line)
            + " |"
        )


def compare_speed(name: str, official: Path | None) -> None:
    ours = full_size(name)
    # Its own copy: engines lay out the weights of theirs anew.
    peers = {"official order": official_order(name, deepcopy(ours.module))}
    if official:
        peers["official code"] = official_code(official, name, ours.module)
    variants: dict[str, Run] = {peer: Plain(peer, infer) for peer, infer in peers.items()}
    variants |= engines(ours)
    runs = {number: fastest(variants, crops(number)) for number in GROWTH}
    p_fake = {
        variant: replace(ours, temperature=1.0).probability(logits)
        for variant, logits in runs[CROPS][1].items()
    }
    rows = []
    for variant in variants:
        seconds = [runs[number][0][variant] for number in GROWTH]
        ratios = [
            f"{runs[number][0]['official order'] / runs[number][0][variant]:.2f}x"
            for number in GROWTH
        ]
        difference = np.abs(p_fake[variant] - p_fake["official order"]).max()
        rows.append((variant, *seconds, *ratios, f"{difference:.0e}"))
    sizes = [f"{number} crop{'s' * (number > 1)}" for number in GROWTH]
    header = (
        "order and engine",
        *(f"{size}, s" for size in sizes),
        *(f"{size}, speed" for size in sizes),
        "change",
    )
    what = "speed as a ratio to the official order, largest change of P(fake)"
    print_table(f"{name}, {torch.get_num_threads()} threads: {what}", header, rows)


def compare_memory(name: str) -> None:
    official, ours = (alone(peak_memory, name, order) for order in ("official", "ours"))
    rows = [
        (n, theirs, mine, theirs / mine)
        for n, theirs, mine in zip(GROWTH, official, ours, strict=True)
    ]
    print_table(
        f"{name}: peak memory, float32 eager",
        ("crops", "official order, MiB", "ours, MiB", "ratio"),
        rows,
    )


def full_size(name: str) -> FakeNetwork:
    bundled = load_networks([name])[0]
    # A name of its own for what the engines keep on disk.
    weights = replace(bundled.weights, sha256=f"formula-{name}")
    build = partial(network, name, formula_tensor)
    return replace(bundled, build=build, crop=CropRule(), example=crops(2), weights=weights)


def job(order: str, frames: int = CROPS) -> DeepfakeJob:
    """The whole job with both networks; ``order`` is an engine's name, or the official order in
    plain PyTorch."""
    fakes = [full_size(name) for name in NETWORKS]
    engine = "eager" if order == "official order" else order
    finder = load_finder(engine=engine, device="cpu")
    made = DeepfakeJob(fakes, finder, Options(frames=frames), engine=engine, device="cpu")
    if order == "official order":
        made.networks |= {
            fake.name: Plain(order, official_order(fake.name, fake.module)) for fake in fakes
        }
    return made


def clip(folder: str) -> Path:
    """A clip of one talking face, long enough for every number of frames."""
    frames = [frame.image for frame in open_video(PORTRAIT).frames(range(75))]
    return write_clip(Path(folder) / "clip.mp4", islice(cycle(frames), max(FRAMES)))


def judged(made: DeepfakeJob, source: Path, number: int = 1) -> tuple[float, float]:
    """Seconds for ``number`` videos from file to verdict, and the last one's score."""
    started = time.perf_counter()
    *_, (_, result) = run(made, [Source.of(source)] * number, batch_size=BATCH)
    return time.perf_counter() - started, result.verdict.score


def whole_job(order: str, source: Path) -> tuple[float, float, int]:
    """Seconds, score and peak MiB of one video, after a first one that loads and compiles; in a
    process of its own."""
    made = job(order)
    judged(made, source)
    seconds, score = min(judged(made, source) for _ in range(REPEATS))
    return seconds, score, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def growth(kind: str, source: Path) -> list[tuple[float, int]]:
    """Seconds and peak MiB for each number of videos, or of frames of one video; in a process of
    its own."""
    found = []
    for number in VIDEOS if kind == "videos" else FRAMES:
        made = job("auto", CROPS if kind == "videos" else number)
        judged(made, source)
        seconds, _ = judged(made, source, number if kind == "videos" else 1)
        found.append((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))
    return found


def alone(work: Callable, *arguments):
    """What ``work`` gives in a process of its own: its peak of memory is nobody else's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(work, *arguments).result()


def compare_jobs(source: Path) -> None:
    orders = ("official order", "eager", "openvino", "auto")
    found = {order: alone(whole_job, order, source) for order in orders}
    peer, peer_score, peer_memory = found["official order"]
    rows = [
        (
            order,
            seconds,
            f"{peer / seconds:.2f}x",
            memory,
            f"{peer_memory / memory:.2f}x",
            f"{abs(score - peer_score):.0e}",
        )
        for order, (seconds, score, memory) in found.items()
    ]
    header = ("order and engine", "seconds", "speed", "peak MiB", "memory", "change of the score")
    print_table(
        f"Whole job, one video, {CROPS} frames, both networks: from file to verdict", header, rows
    )
    for kind, numbers in (("videos", VIDEOS), ("frames", FRAMES)):
        unit = CROPS if kind == "videos" else 1
        rows = [
            (number, seconds, 1000 * seconds / number / unit, memory)
            for number, (seconds, memory) in zip(numbers, alone(growth, kind, source), strict=True)
        ]
        print_table(
            f"Growth with {kind}, engine auto",
            (kind, "seconds", "ms per frame", "peak MiB so far"),
            rows,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--official", type=Path, metavar="FOLDER", help="a checkout of the official code"
    )
    official = parser.parse_args().official
    for (
        each
    ) in NETWORKS:  # first, while this process is small: a child's peak starts from its parent's
        compare_memory(each)
    with TemporaryDirectory() as folder:
        compare_jobs(clip(folder))
    for each in NETWORKS:
        compare_speed(each, official)


if __name__ == "__main__":
    main()
