"""Speed and memory of LoLA-SpecViT: the release's order of work, a support vector machine, whole
scenes of which only some pixels are computed, files of many lines.

    python benchmarks/hsi-classify.py [--quick] [--only NAME ...]

``network``: patches by the network at the official size. The release stores a patch for each pixel,
computes the padding as tokens and every residual apart, eagerly in float32; a student, once it is
taught, labels a scene in one go. ``scene``: Salinas-A from file to map by the bundled small
network, exact and by each way that saves pixels, beside the support vector machine fitted to the
same 40 labels a class; OA on its test pixels. ``houston``: its crop from file to map with the small
network, learned in the call, or kept from an earlier one. ``memory``: a made file of 2,000 samples
and 200 bands by the spectral angle. Seconds are the processor's, on one thread. Every row is a
process of its own; memory is the peak above what was there before the call. Weights of the official
size are random, which changes neither. ``--quick`` takes few patches and a small file, no scene.
"""

import argparse
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from hsi_classify import load
from hsi_classify.files.opening import open_cube
from hsi_classify.models.conv import ConvConfig, ConvNet
from hsi_classify.models.layers import WindowAttention
from hsi_classify.models.specvit import SpecViT, SpecViTConfig, streamline
from hsi_classify.scores import score
from hsi_classify.writing import write
from vitrail.bench import cpu_seconds
from vitrail.report import Table

RECIPES = Path(__file__).parents[1] / "pipelines" / "hsi-classify"
SALINAS, HOUSTON = RECIPES / "salinas-a.yaml", RECIPES / "houston.yaml"
MODES: dict[str, dict[str, Any]] = {
    "every pixel": {},
    "--stride 2": {"stride": 2},
    "--stride 3": {"stride": 3},
    "--superpixels 9": {"superpixels": 9},
    "--student": {"student": True},
}
SAMPLES, BANDS = 2000, 200
STUDENT_SIDE = 64  # pixels
REPEATS = 2


def measure(prepare: Callable[..., Callable[[], Any]], *arguments: Any) -> tuple[float, float, Any]:
    """CPU seconds of the cheapest call of what ``prepare`` gives, MiB of its peak, and what it
    gave, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, prepare, arguments).result()


def _measured(prepare: Callable, arguments: tuple) -> tuple[float, float, Any]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    call, found = prepare(*arguments), []
    before = _peak()
    with torch.inference_mode():
        first = cpu_seconds(lambda: found.append(call()), 1)
        mib = _peak() - before
        again = cpu_seconds(call, REPEATS - 1) if first < 10 else first
    return min(first, again), mib, found[0]


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def network_rows(count: int) -> Iterator[tuple]:
    base = measure(released, count)
    yield "the release's order", *_each(base, count), 1.0
    for name, prepare in (("ours, float32", streamlined), ("ours, auto", chosen)):
        cost = measure(prepare, count)
        engine = f" ({cost[2]})" if isinstance(cost[2], str) else ""
        yield name + engine, *_each(cost, count), base[0] / cost[0]
    cost = _each(measure(taught), STUDENT_SIDE**2)
    yield "a student, once taught", *cost, 1000 * base[0] / count / cost[0]


def _each(cost: tuple[float, float, Any], count: int) -> tuple[float, float]:
    return 1000 * cost[0] / count, cost[1]


def released(count: int) -> Callable[[], Any]:
    def all_tokens(self: WindowAttention, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, dim = x.shape
        side, window = round(tokens**0.5), round(self.relative_position_index.shape[0] ** 0.5)
        padded = x.new_zeros(batch, window, window, dim)
        padded[:, :side, :side] = x.view(batch, side, side, dim)
        qkv = self.qkv(padded.flatten(1, 2)).unflatten(2, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind()
        logits = (q * self.scale) @ k.transpose(-1, -2) + self._bias(self.relative_position_index)
        mixed = self.proj((logits.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return mixed.view(batch, window, window, dim)[:, :side, :side].flatten(1, 2)

    WindowAttention.forward = all_tokens  # this process ends with the row
    return partial(SpecViT(SpecViTConfig()).eval(), _patches(count))


def streamlined(count: int) -> Callable[[], Any]:
    return partial(streamline(SpecViT(SpecViTConfig()).eval()), _patches(count))


def chosen(count: int) -> Callable[[], Any]:
    from vitrail.engine import Network, prepare

    network, patches = streamline(SpecViT(SpecViTConfig()).eval()), _patches(count).numpy()
    engine = prepare(Network("official", lambda: network, (patches[:2],), None), engine="auto")
    engine(patches)  # decides and converts

    def call() -> str:
        engine(patches)
        return engine.name

    return call


def taught() -> Callable[[], Any]:
    student = ConvNet(ConvConfig()).eval()
    side = STUDENT_SIDE + student.config.patch - 1
    return partial(student.forward_image, torch.randn(student.config.components, side, side))


def _patches(count: int) -> torch.Tensor:
    return torch.randn(count, 15, 15, 15)


def scene_rows() -> Iterator[tuple]:
    exact = measure(mapped, "every pixel")
    for name in MODES:
        cost = exact if name == "every pixel" else measure(mapped, name)
        oa, made = cost[2]
        share, same = made.get("computed_share", 1.0), made.get("agreement", 1.0)
        yield name, cost[0], exact[0] / cost[0], share, same, oa
    cost = measure(by_svm)
    yield "svm, fitted in the call", cost[0], exact[0] / cost[0], 1.0, None, cost[2][0]


def mapped(name: str) -> Callable[[], Any]:
    cube, ids, _, test = _scene()
    # Decides and converts, on a few rows: a student would learn for each call.
    load("salinas-a", engine="auto").predict(open_cube(cube).read(slice(0, 20)))
    return partial(_scored, load("salinas-a", engine="auto", **MODES[name]), cube, ids, test)


def by_svm() -> Callable[[], Any]:
    cube, ids, train, test = _scene()
    labels = np.zeros_like(ids)
    labels.flat[train] = ids.flat[train]
    return partial(_scored, load(labels=labels, method="svm"), cube, ids, test)


def _scene(path: Path = SALINAS) -> tuple[Path, np.ndarray, np.ndarray, np.ndarray]:
    """The recipe's cube, its labels, and the pixels that are learned from and tested."""
    # Late: what training imports would be paid for by every row.
    from hsi_classify.data import Labelled, LabelledScene
    from hsi_classify.training import Recipe
    from vitrail.training.recipe import load_recipe

    recipe = load_recipe(path)
    assert isinstance(recipe, Recipe) and isinstance(recipe.data, Labelled)
    scene = LabelledScene.of(recipe.data, recipe.preset)
    split = scene.split(recipe.data)
    return recipe.data.cube, scene.labels.ids, split.train, split.test


def _scored(job: Any, cube: Path, ids: np.ndarray, test: np.ndarray) -> tuple[float, dict]:
    """OA on the test pixels, and how the map was made."""
    result = job.predict(cube)
    oa = score(ids.flat[test], result.classes.flat[test]).oa
    return oa, dict(result.made_by)


def houston_rows() -> Iterator[tuple]:
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "kept.safetensors"
        for method in ("auto", "network"):
            seconds, mib, oa = measure(learned_map, method, 10, kept)
            yield f"--labels, --method {method}", seconds, mib, oa
        seconds, mib, oa = measure(known_map, kept)
        yield "--weights that the former kept", seconds, mib, oa


def learned_map(method: str, count: int, kept: Path) -> Callable[[], float]:
    """From ``count`` labels of each class, and those of the rest as the test."""
    cube, ids, _, _ = _scene(HOUSTON)
    ids = np.where(np.isin(ids, _common(ids, 2 * count)), ids, 0)
    job = load(labels=ids, method=method, per_class=count, save=kept, variable="hyprImg")

    def call() -> float:
        result = job.predict(cube)
        write(result, Path(tempfile.mkdtemp(dir=kept.parent)))
        assert result.score is not None
        return result.score.oa

    return call


def known_map(kept: Path) -> Callable[[], float]:
    """All labels test, among them the few that the weights learned from."""
    cube, ids, _, _ = _scene(HOUSTON)
    job = load(str(kept), variable="hyprImg")
    test = np.flatnonzero(np.isin(ids, _common(ids, 20)))

    def call() -> float:
        result = job.predict(cube)
        write(result, Path(tempfile.mkdtemp(dir=kept.parent)))
        return score(ids.flat[test], result.classes.flat[test]).oa

    return call


def _common(ids: np.ndarray, count: int) -> np.ndarray:
    """Classes with so many labels."""
    values, counts = np.unique(ids[ids > 0], return_counts=True)
    return values[counts >= count]


def memory_rows(sizes: tuple[int, ...]) -> Iterator[tuple]:
    for lines in sizes:
        with tempfile.TemporaryDirectory() as folder:
            _made(Path(folder), lines)
            seconds, mib, _ = measure(angle, folder)
            yield lines, 2 * lines * SAMPLES * BANDS / 2**20, mib, seconds


def _made(folder: Path, lines: int) -> None:
    rng = np.random.default_rng(0)
    spectra = rng.integers(500, 3000, (3, BANDS))
    with (folder / "scene.img").open("wb") as file:
        for start in range(0, lines, 50):
            place = (np.arange(SAMPLES) * 3 // SAMPLES)[None].repeat(min(50, lines - start), 0)
            noise = rng.integers(0, 200, (*place.shape, 1))
            part = (spectra[place] + noise).astype("<i2")
            file.write(np.ascontiguousarray(part.transpose(0, 2, 1)).tobytes())
    (folder / "scene.hdr").write_text(
        f"ENVI\nsamples = {SAMPLES}\nlines = {lines}\nbands = {BANDS}\ndata type = 2\n"
        "interleave = bil\nbyte order = 0\nheader offset = 0\n"
    )
    points = [f"{10 + n},{SAMPLES * (2 * c + 1) // 6},{c + 1}" for c in range(3) for n in range(9)]
    (folder / "points.csv").write_text("\n".join(["row,column,class", *points]) + "\n")


def angle(folder: str) -> Callable[[], None]:
    job = load(labels=Path(folder) / "points.csv", method="angle", bad_bands="none")

    def call() -> None:
        out = Path(tempfile.mkdtemp(dir=folder))
        write(job.predict(Path(folder) / "scene.hdr"), out)

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", default=["network", "scene", "houston", "memory"])
    chosen_ones, console = parser.parse_args(), Console(width=120)

    def show(title: str, columns: tuple, rows: Iterator[tuple]) -> None:
        listed = []
        for row in rows:
            print(*row, sep="\t", file=sys.stderr, flush=True)
            listed.append(row)
        console.print(Table(title, columns, listed).to_rich())

    if "network" in chosen_ones.only:
        count = 4 if chosen_ones.quick else 32
        columns = ("way", "CPU ms a pixel", "peak MiB", "times as fast")
        show("network: official size, 254.6 M parameters", columns, network_rows(count))
    if "scene" in chosen_ones.only and not chosen_ones.quick:
        columns = ("way", "CPU s", "times as fast", "computed", "agreement", "OA")
        show("scene: Salinas-A, 83 x 86 pixels", columns, scene_rows())
    if "houston" in chosen_ones.only and not chosen_ones.quick:
        columns = ("way", "CPU s", "peak MiB", "OA")
        show(
            "houston: 128 x 128 pixels from file to map, 10 labels a class", columns, houston_rows()
        )
    if "memory" in chosen_ones.only:
        sizes = (50, 100) if chosen_ones.quick else (100, 1000, 4000)
        columns = ("lines", "file MiB", "peak MiB", "CPU s")
        show("memory: a made file", columns, memory_rows(sizes))


if __name__ == "__main__":
    main()
