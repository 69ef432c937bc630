"""Speed and memory of GenConViT's networks at full size, against the order of work of the official release.

    python benchmarks/deepfake-detect.py

The peer is rebuilt here from our own layers, so that only the order differs: float32 in plain PyTorch, network A's
image and reconstruction one after the other, network B's mean three times and its variance once. It is not the official
code, which holds in memory a Swin that it never calls and its checkpoint a second time: the real one needs more.
The released weights could not be had; every tensor follows a formula, which changes neither time nor memory.
"""

import resource
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from functools import partial
from multiprocessing import get_context

import numpy as np
import torch
from torch import Tensor, nn

from deepfake_detect.model import FAKE, GenConViTED, GenConViTVAE, build_model
from vitrine.engine import ENGINES, prepare
from vitrine.errors import MissingError, UsageError
from vitrine.preprocess.image import normalise
from vitrine.testing.parity import formula_tensor

CROPS = 15  # of one video, as many as the release takes
GROWTH = (1, 4, CROPS)
REPEATS = 3
NETWORKS = {"ed": "genconvit-ed", "vae": "genconvit-vae"}

Infer = Callable[[Tensor], Tensor]


def official_ed(model: GenConViTED, image: Tensor) -> Tensor:
    reconstruction = model.reconstruct(image)
    return model.head(of_reconstruction=model.backbone(reconstruction), of_image=model.backbone(image))


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
    var.load_state_dict({key: value.clone() for key, value in model.encoder.mu.state_dict().items()}, assign=True)
    return partial(official_vae, model, var)


def network(name: str, fill: Callable[[str, tuple[int, ...]], Tensor]) -> nn.Module:
    with torch.device("meta"):
        model = build_model(NETWORKS[name], {}).eval()
    model.load_state_dict({key: fill(key, value.shape) for key, value in model.state_dict().items()}, assign=True)
    return model


def crops(number: int) -> Tensor:
    return normalise(np.random.default_rng(0).integers(0, 256, (number, 224, 224, 3), np.uint8))


@torch.inference_mode()
def peak_memory(name: str, order: str) -> list[int]:
    """MiB that a process of its own has needed by the time it scored each of the ``GROWTH`` numbers of crops."""
    model = network(name, lambda key, shape: torch.full(shape, 1e-3))
    infer = model if order == "ours" else official_order(name, model)
    peaks = []
    for number in GROWTH:
        infer(crops(number))
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    return peaks


@torch.inference_mode()
def fastest(variants: dict[str, Infer], batch: Tensor) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Seconds of the fastest of some runs of each, in turn, so that a busy moment strikes them all; and the outputs."""
    seconds, outputs = {name: [] for name in variants}, {}
    for _ in range(REPEATS):
        for name, infer in variants.items():
            started = time.perf_counter()
            outputs[name] = infer(batch)
            seconds[name].append(time.perf_counter() - started)
    return {name: min(runs) for name, runs in seconds.items()}, outputs


def engines(model: nn.Module) -> dict[str, Infer]:
    """Our order under every engine that is installed and can run it."""
    found = {}
    for name in ENGINES:
        if name in ("auto", "compile"):  # one of the others; minutes of compiling
            continue
        try:
            found[name] = prepare(model, engine=name, device="cpu")
            found[name](crops(2))  # converts and compiles
        except (MissingError, UsageError) as error:
            print(f"left out: {error}")
            del found[name]
    return found


def print_table(title: str, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    lines = [list(header), *rows]
    lines.insert(1, ["---"] * len(lines[0]))
    print(f"\n{title}\n")
    for line in lines:
        print("| " + " | ".join(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in line) + " |")


def compare_speed(name: str) -> None:
    model = network(name, formula_tensor)
    # Its own copy: engines lay out the weights of theirs anew.
    variants = {"official order": official_order(name, deepcopy(model)), **engines(model)}
    runs = {number: fastest(variants, crops(number)) for number in GROWTH}
    p_fake = {variant: logits.float().softmax(1)[:, FAKE] for variant, logits in runs[CROPS][1].items()}
    rows = []
    for variant in variants:
        seconds = [runs[number][0][variant] for number in GROWTH]
        ratios = [f"{runs[number][0]['official order'] / runs[number][0][variant]:.2f}x" for number in GROWTH]
        difference = (p_fake[variant] - p_fake["official order"]).abs().max()
        rows.append((variant, *seconds, *ratios, f"{difference:.0e}"))
    sizes = [f"{number} crop{'s' * (number > 1)}" for number in GROWTH]
    header = (
        "order and engine",
        *(f"{size}, s" for size in sizes),
        *(f"{size}, speed" for size in sizes),
        "change",
    )
    threads = torch.get_num_threads()
    print_table(
        f"{name}, {threads} threads: speed as a ratio to the official order, largest change of P(fake)", header, rows
    )


def compare_memory(name: str) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as processes:
        official, ours = (processes.submit(peak_memory, name, order).result() for order in ("official", "ours"))
    rows = [(n, theirs, mine, theirs / mine) for n, theirs, mine in zip(GROWTH, official, ours, strict=True)]
    print_table(f"{name}: peak memory, float32 eager", ("crops", "official order, MiB", "ours, MiB", "ratio"), rows)


if __name__ == "__main__":
    for each in NETWORKS:  # first, while this process is small: a child's peak starts from its parent's
        compare_memory(each)
    for each in NETWORKS:
        compare_speed(each)
