"""Speed and memory of SegFormer3D and xLSTM-UNet against the releases' order of work and MONAI's
networks.

    python benchmarks/medical-segment.py [--quick] [--only NAME ...]

``segformer``: the whole network on cubes beside the released order before November 2025 (attention
written out, four scales joined at full width) and MONAI's SegResNet and an nnU-Net-shaped DynUNet.
``mlstm``: the linear form of the cell beside the parallel one. ``enc``: whole xLSTM-UNets with
either form. ``scan``: a case from file to file by the job, the stages apart (needs the data
folder). Every row is a process of its own on one thread; memory is the peak above what the network
and its input take (none for ``auto``, whose choice took more before). Weights are random, which
changes neither. ``--quick`` takes small sizes.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

from medical_segment.models import build_model, mlstm, segformer3d, vil
from vitrail.report import Table
from vitrail.training.recipe import data_folder

REPEATS = 3
BRATS = {"in_channels": 4, "num_classes": 3}
TWO_D = {
    "features": [32, 64, 128, 256, 512, 512, 512],
    "strides": [1, 2, 2, 2, 2, 2, 2],
    "kernels": [3] * 7,
    "dims": 2,
}
CELL = {
    "features": [32, 64, 128, 256, 512, 512, 512, 512],
    "strides": [1] + [2] * 7,
    "kernels": [3] * 8,
    "dims": 2,
}
ENC = {
    "2-D MR, 320 x 320": TWO_D | {"in_channels": 1, "num_classes": 14, "patch_size": [320, 320]},
    "cells, 512 x 512": CELL | {"in_channels": 3, "num_classes": 3, "patch_size": [512, 512]},
    "endoscopy, 384 x 640": TWO_D | {"in_channels": 3, "num_classes": 8, "patch_size": [384, 640]},
}
HEADS, HEAD_DIM = 4, 64
ALONE = "endoscopy, 384 x 640"  # its parallel form wants about 30 GB


@dataclass(frozen=True)
class Cost:
    """``seconds`` of one call; ``mib`` of memory at the peak above what was there before it."""

    seconds: float
    mib: float


def measure(prepare: Callable[[], Callable[[], object]]) -> Cost:
    """The cost of what ``prepare`` gives, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        return pool.submit(_measured, prepare).result()


def _measured(prepare: Callable[[], Callable[[], object]]) -> Cost:
    torch.manual_seed(0)
    call = prepare()
    before = _peak()
    with torch.inference_mode():
        started = time.perf_counter()
        call()
        seconds = [time.perf_counter() - started]
        mib = _peak() - before
        while len(seconds) < REPEATS and sum(seconds) < 10:
            started = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - started)
    return Cost(min(seconds), mib)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _written_out(self: segformer3d.Attention, x: Tensor) -> Tensor:
    """Attention as the release computed it until November 2025: the whole matrix of weights is
    made."""
    batch, dim = x.shape[0], x.shape[-1]
    source = x
    if self.ratio > 1:
        source = self.sr_norm(self.sr(x.permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1))
    key, value = self.key_value(source).chunk(2, dim=-1)
    heads = (batch, -1, self.num_heads, dim // self.num_heads)
    query, key, value = (
        part.reshape(heads).transpose(1, 2) for part in (self.query(x), key, value)
    )
    weights = (query @ key.mT * self.scale).softmax(dim=-1)
    return self.proj((weights @ value).transpose(1, 2).reshape(x.shape))


def segformer(side: int, how: str) -> Callable[[], Tensor]:
    if how == "released order":
        segformer3d.Attention.forward = _written_out
        segformer3d.Decoder._folded = segformer3d.Decoder._plain
    model = build_model("segformer3d", BRATS).eval()
    volume = torch.rand(1, 4, side, side, side)
    if how != "auto":
        return partial(model, volume)
    from vitrail.engine import Network, prepare

    batch = volume.numpy()
    network = Network("segformer3d", lambda: model, batch.repeat(2, 0), None)
    engine = prepare(network, engine="auto", device="cpu")
    engine(batch)  # decides and converts
    print(f"    auto at {side}: {engine.name}", flush=True)
    return partial(engine, batch)


def monai_network(name: str, side: int) -> Callable[[], Tensor]:
    from monai.networks.nets import DynUNet, SegResNet

    if name == "SegResNet":
        model: nn.Module = SegResNet(3, 16, 4, 3)
    else:
        kernels, strides = [3] * 6, [1, 2, 2, 2, 2, 2]
        filters = [32, 64, 128, 256, 320, 320]
        model = DynUNet(3, 4, 3, kernels, strides, strides[1:], filters, res_block=False)
    return partial(model.eval(), torch.rand(1, 4, side, side, side))


def cell(tokens: int, form: str) -> Callable[[], Tensor]:
    q, k, v = torch.randn(3, 1, HEADS, tokens, HEAD_DIM)
    i, f = torch.randn(2, 1, HEADS, tokens)
    return partial(getattr(mlstm, form), q, k, v, i, f + 3)


def enc(name: str, form: str) -> Callable[[], Tensor]:
    vil.mlstm = getattr(mlstm, form) if form == "parallel" else mlstm.mlstm
    config = ENC[name] | {"variant": "enc"}
    model = build_model("xlstm-unet", config).eval()
    return partial(model, torch.randn(1, config["in_channels"], *config["patch_size"]))


def segformer_rows(quick: bool) -> Iterator[tuple]:
    for side in (32, 64) if quick else (96, 128, 160):
        base = measure(partial(segformer, side, "released order"))
        yield _row(f"{side} cubed", "released order", base, base)
        for how in ("float32", "auto"):
            yield _row(
                f"{side} cubed", f"ours, {how}", measure(partial(segformer, side, how)), base
            )
    side = 32 if quick else 96
    for name in ("SegResNet", "DynUNet of nnU-Net's shape"):
        yield _row(
            f"{side} cubed",
            name,
            measure(partial(monai_network, name, side)),
            base if quick else None,
        )


def mlstm_rows(quick: bool) -> Iterator[tuple]:
    for tokens in (128, 512) if quick else (512, 2048, 8192):
        base = measure(partial(cell, tokens, "parallel"))
        yield _row(f"{tokens} tokens", "parallel", base, base)
        yield _row(
            f"{tokens} tokens", "chunkwise", measure(partial(cell, tokens, "chunkwise")), base
        )


def enc_rows(quick: bool) -> Iterator[tuple]:
    for name in list(ENC)[:1] if quick else ENC:
        base = None if name == ALONE else measure(partial(enc, name, "parallel"))
        if base:
            yield _row(name, "parallel cell", base, base)
        yield _row(name, "chunkwise cell", measure(partial(enc, name, "chunkwise")), base)


def scan_rows(quick: bool) -> Iterator[tuple]:
    """A crop and a whole head by the bundled SegFormer3D: reading, preparing, network, restoring,
    writing.

    What it finds in a head is nonsense; only the work counts.
    """
    folder = Path(data_folder()) / "medical"
    sources = [
        folder / "hippocampus" / "images" / "hippocampus_001.nii.gz",
        folder / "mr_multimodal" / "t1pre.nii.gz",
    ]
    for source in sources[:1] if quick else sources:
        with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
            stages = pool.submit(_scan, source).result()
        whole = sum(stages.values())
        for stage, seconds in stages.items():
            yield source.name, stage, seconds, seconds / whole, None, None


def _scan(source: Path) -> dict[str, float]:
    from medical_segment import load
    from medical_segment.files.reading import read_case
    from medical_segment.planes import cut
    from medical_segment.postprocess import label_map
    from medical_segment.preprocess import prepare
    from medical_segment.result import Result
    from medical_segment.writing import write

    job = load("hippocampus", engine="eager")
    job.predict(torch.randn(16, 16, 16).numpy())  # imports
    seconds = {}
    with _timed(seconds, "reading"):
        volume = read_case(source)
    with _timed(seconds, "preparing"):
        prepare(volume.data, volume.affine, job.plan)
    with _timed(seconds, "network and windows"):
        _, (plane,) = cut(source.name, volume, job.plan, job.settings.overlap)
        for number, window in plane.windows():
            plane.add(number, job.networks["hippocampus"](window[None])[0])
    seconds["network and windows"] -= seconds["preparing"]
    with _timed(seconds, "back onto the file's grid"):
        labels = label_map(plane.probabilities, volume.shape, volume.affine, job.plan)
    result = Result(source.name, volume, job.plan, labels)
    with _timed(seconds, "writing"), tempfile.TemporaryDirectory() as folder:
        write(result, Path(folder))
    return seconds


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - started


def _row(what: str, how: str, cost: Cost, base: Cost | None) -> tuple:
    faster = base.seconds / cost.seconds if base else None
    memory = cost.mib / base.mib if base and base.mib > 0 else None
    return what, how, cost.seconds, faster, cost.mib or None, memory or None


ROWS = {"segformer": segformer_rows, "mlstm": mlstm_rows, "enc": enc_rows, "scan": scan_rows}
COLUMNS = ("what", "how", "seconds", "times as fast", "peak MiB", "of the memory")
SCAN_COLUMNS = ("what", "stage", "seconds", "share", "", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument(
        "--only", nargs="+", choices=ROWS, default=list(ROWS), help="some of the tables"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)  # before any process is forked, and then in all of them
    for name in options.only:
        columns = SCAN_COLUMNS if name == "scan" else COLUMNS
        Console().print(Table(name, columns, list(ROWS[name](options.quick))).to_rich())


if __name__ == "__main__":
    main()
