"""Speed and memory of ChangeViT: the release's order of work, other networks, series, whole scenes.

    python benchmarks/change-detect.py [--quick] [--only NAME ...]

``pair``: a pair of 256 x 256 at the official sizes. The release's order encodes one date after the
other and makes the whole matrix of the cross-attention; beside it torchgeo's class of the same name
(where it is installed) and the siamese U-Net. ``series``: five dates at once against their four
pairs. ``scene``: 4096 x 4096 from files to files with the bundled network, the stages apart.
``memory``: scenes of three sizes, with a stand-in for the network that costs nothing, so that what
grows with a scene is seen. Seconds are the processor's, on one thread. Every row is a process of
its own; memory is the peak above what was there before the call. ``--quick`` takes small sizes.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from rich.console import Console
from torch import Tensor, nn

from change_detect import load
from change_detect.job import ChangeJob
from change_detect.measure.yardstick import build_yardstick
from change_detect.models import build_model
from change_detect.models.changevit import ChangeViT, CrossAttention
from change_detect.models.config import RELEASED, SIZES
from change_detect.networks import WINDOW, ChangeNetwork
from change_detect.scene.sources import scene_of
from change_detect.writing import write
from vitrail.bench import cpu_seconds
from vitrail.report import Table
from vitrail.runner import solve
from vitrail.testing.rasters import write_raster

REPEATS = 3
DATES = 5
PEER = "torchgeo's class"
UTM = "EPSG:32651"
TILE = 256  # pixels


def measure(prepare: Callable[..., Callable[[], object]], *arguments: Any) -> tuple[float, float]:
    """CPU seconds of the cheapest call of what ``prepare`` gives, and MiB of its peak, in a process
    of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        return pool.submit(_measured, prepare, arguments).result()


def _measured(prepare: Callable, arguments: tuple) -> tuple[float, float]:
    torch.manual_seed(0)
    call = prepare(*arguments)
    before = _peak()
    with torch.inference_mode():
        first = cpu_seconds(call, 1)
        mib = _peak() - before
        return min(first, cpu_seconds(call, REPEATS - 1) if first < 20 else first), mib


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def pair_rows(quick: bool) -> Iterator[tuple]:
    for size in list(SIZES)[:1] if quick else SIZES:
        base = measure(released_order, size)
        yield size, "release's order", *base, 1.0, 1.0
        for how in ("float32", "auto"):
            yield size, f"ours, {how}", *_beside(measure(ours, size, how), base)
        if find_spec("torchgeo") is None:
            yield size, f"{PEER}: not installed", None, None, None, None
        else:
            yield size, PEER, *_beside(measure(torchgeo_network, size), base)
    yield "as nano", "siamese U-Net", *measure(unet), None, None


def _beside(cost: tuple[float, float], base: tuple[float, float]) -> tuple:
    share = cost[1] / base[1] if cost[1] > 1 and base[1] > 1 else None
    return cost[0], cost[1] if cost[1] > 1 else None, base[0] / cost[0], share


def _images(count: int = 2) -> list[Tensor]:
    return [torch.rand(1, 3, WINDOW, WINDOW) for _ in range(count)]


def _network(size: str) -> ChangeViT:
    return build_model("changevit", {**SIZES[size], **RELEASED}).eval()


def released_order(size: str) -> Callable[[], Tensor]:
    def materialised(self: CrossAttention, x: Tensor, keys: Tensor) -> Tensor:
        q = self.q(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        k, v = self.kv(keys).unflatten(2, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        weights = (q @ k.transpose(2, 3) * q.shape[3] ** -0.5).softmax(3)
        return self.proj((weights @ v).transpose(1, 2).flatten(2))

    CrossAttention.forward = materialised  # this process ends with the row
    network, (earlier, later) = _network(size), _images()
    return lambda: network.compare(network.encoder(earlier), network.encoder(later))


def ours(size: str, how: str) -> Callable[[], object]:
    from vitrail.engine import Network, prepare

    network, images = _network(size), _images()
    if how == "float32":
        network = network.to(memory_format=torch.channels_last)
        return partial(network, *images)
    arrays = [image.numpy() for image in images]
    example = tuple(array.repeat(2, 0) for array in arrays)
    engine = prepare(Network(size, lambda: network, example, None), engine="auto", device="cpu")
    engine(*arrays)  # decides and converts
    print(f"    auto, {size}: {engine.name}", flush=True)
    return partial(engine, *arrays)


def torchgeo_network(size: str) -> Callable[[], object]:
    from torchgeo.models import ChangeViT as Peer

    network: nn.Module = Peer(f"vit_{size}_patch16_224", pretrained=False, img_size=WINDOW).eval()
    stacked = torch.stack(_images(), 1)
    return partial(network, stacked)


def unet() -> Callable[[], Tensor]:
    network = build_yardstick({}).eval().to(memory_format=torch.channels_last)
    return partial(network, *_images())


def series_rows(quick: bool) -> Iterator[tuple]:
    side = 256 if quick else 448
    for what in ("nano",) if quick else ("nano", "tiny"):
        apart = measure(dates_of, what, side, False)
        together = measure(dates_of, what, side, True)
        yield f"{what}, {DATES} dates of {side}", "pairs one by one", *apart, 1.0, 1.0
        yield f"{what}, {DATES} dates of {side}", "as a series", *_beside(together, apart)
    yield "", f"the most there is: {2 * (DATES - 1)} encodings to {DATES}", None, None, 1.6, None


def dates_of(what: str, side: int, together: bool) -> Callable[[], object]:
    folder = Path(tempfile.mkdtemp(prefix="change-detect-"))
    rng = np.random.default_rng(0)
    paths = [folder / f"{number}.tif" for number in range(DATES)]
    for path in paths:
        write_raster(path, rng.integers(0, 256, (3, side, side), np.uint8))
    if what == "nano":
        job = load(engine="eager")
    else:
        example = (np.zeros((2, 3, WINDOW, WINDOW), np.float32),) * 2
        build = partial(_network, what)
        job = ChangeJob(ChangeNetwork(what, build, example, None, threshold=0.5, gsd=None))
        job = ChangeJob(job.network, engine="eager")
    if together:
        return lambda: job.predict_series(paths)
    return lambda: [job.predict(*pair) for pair in pairwise(paths)]


def scene_rows(quick: bool) -> Iterator[tuple]:
    side = 512 if quick else 4096
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        stages = pool.submit(_stages, side).result()
    whole = sum(stages.values())
    for stage, seconds in stages.items():
        yield f"{side} x {side}", stage, seconds, None, seconds / whole, None
    yield f"{side} x {side}", f"{side**2 / 1e6 / whole:.3f} MP a second", whole, None, 1.0, None


def _stages(side: int) -> dict[str, float]:
    """CPU seconds by stage, of the whole job with the bundled network."""
    seconds: dict[str, float] = {}
    job = load(engine="auto")
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    job.predict(noise, noise)  # decides and converts
    for name, engine in job.networks.items():
        job.networks[name] = _Timed(engine, seconds, name)  # pyright: ignore[reportIndexIssue]
    with tempfile.TemporaryDirectory() as folder:
        pair = _scene(Path(folder), side)
        started = time.process_time()
        result = solve(job.networks, job.process(scene_of(pair)), batch_size=4)
        rest = time.process_time() - started - sum(seconds.values())
        started = time.process_time()
        (Path(folder) / "out").mkdir()
        write(result, Path(folder) / "out")
        writing = time.process_time() - started
    return seconds | {"reading, blending, outlining": rest, "writing": writing}


class _Timed:
    def __init__(self, engine: Any, seconds: dict[str, float], name: str):
        self.engine, self.seconds, self.name = engine, seconds, name
        seconds[name] = 0.0

    def __call__(self, *batch: np.ndarray) -> Any:
        started = time.process_time()
        output = self.engine(*batch)
        self.seconds[self.name] += time.process_time() - started
        return output


def _scene(folder: Path, side: int) -> list[Path]:
    """Two dates of noise whose later one has bright squares, written a strip of tiles at a time."""
    from rasterio.transform import Affine

    tile = np.random.default_rng(0).integers(60, 120, (3, TILE, TILE), np.uint8)
    ground = np.tile(tile, (1, 1, -(-side // TILE)))[:, :, :side]
    built = ground.copy()
    for left in range(100, side - 40, 400):
        built[:, 100:130, left : left + 40] = 230
    paths = [folder / "before.tif", folder / "after.tif"]
    options = {"driver": "GTiff", "count": 3, "height": side, "width": side, "dtype": "uint8"}
    options |= {"tiled": True, "blockxsize": TILE, "blockysize": TILE}
    options |= {"crs": UTM, "transform": Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)}
    for path, strips in zip(paths, ([ground], [built, ground]), strict=True):
        with rasterio.open(path, "w", **options) as dataset:
            for number, top in enumerate(range(0, side, TILE)):
                strip = strips[number % len(strips)][:, : side - top]
                dataset.write(strip, window=((top, top + strip.shape[1]), (0, side)))
    return paths


def memory_rows(quick: bool) -> Iterator[tuple]:
    for side in (256, 1024) if quick else (1024, 4096, 16384):
        with tempfile.TemporaryDirectory() as folder:
            seconds, mib = measure(_without_network, _scene(Path(folder), side))
        yield f"{side} x {side}", "all but the network", seconds, mib, None, None


def _without_network(pair: list[Path]) -> Callable[[], object]:
    """The job with what costs nothing in place of the network: change where it got brighter."""
    example = (np.zeros((2, 3, WINDOW, WINDOW), np.float32),) * 2
    network = ChangeNetwork("none", nn.Identity, example, None, threshold=0.5, gsd=0.5)
    engines = {
        network.dates.name: lambda images: (images.mean(1, keepdims=True),),
        network.pairs.name: lambda earlier, later: 8 * (later - earlier - 0.5),
    }
    job = ChangeJob(network)
    job.networks = engines  # pyright: ignore[reportAttributeAccessIssue]

    def call() -> None:
        with tempfile.TemporaryDirectory() as folder:
            steps = job.process(scene_of(pair))
            write(solve(engines, steps, batch_size=4), Path(folder))

    return call


ROWS = {"pair": pair_rows, "series": series_rows, "scene": scene_rows, "memory": memory_rows}
COLUMNS = ("what", "how", "CPU seconds", "peak MiB", "times as fast", "of the memory")
SCENE_COLUMNS = ("what", "stage", "CPU seconds", "", "share", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS))
    options = parser.parse_args()
    torch.set_num_threads(1)  # before any process is forked, and then in all of them
    for name in options.only:
        columns = SCENE_COLUMNS if name == "scene" else COLUMNS
        Console().print(Table(name, columns, list(ROWS[name](options.quick))).to_rich())


if __name__ == "__main__":
    main()
