"""Speed and memory of SSAST at base size, against two peers on the same weights and the same sound.

    python benchmarks/audio-classify.py [--quick] [--only limit]

The first peer is AST as the library transformers runs it: its classifier on our tensors under its
names, padded to 1024 frames, as its feature extractor pads. The second is the order of work of the
official release: attention written out, every clip padded. Both get the spectrogram; the filterbank
is compared with librosa's on its own. ``--quick`` takes the tiny size. The weights follow a
formula, which changes neither time nor memory.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from audio_classify.job import AudioJob, Options
from audio_classify.models import build_model
from audio_classify.models.config import SIZES
from audio_classify.models.ssast import SSAST
from audio_classify.networks import AudioNetwork
from audio_classify.sound.features import Features
from vitrail.engine import Network, prepare
from vitrail.preprocess.filterbank import filterbank
from vitrail.testing.parity import formula_tensor

RATE, FRAMES = 16_000, 1024
CLASSES = 527
REPEATS = 3
CLIP_SECONDS = (10, 1)
LONG_MINUTES = (1, 30, 180)
FEATURES = Features(RATE, -4.2677393, 4.5689974, FRAMES)

Infer = Callable[[np.ndarray], np.ndarray]


def network(size: str, depth: int = 12) -> SSAST:
    config = {
        **SIZES[size],
        "depth": depth,
        "num_classes": CLASSES,
        "pooling": "class",
        "norm_eps": 1e-12,
    }
    with torch.device("meta"):
        model = build_model("ssast", config | {"head_norm_eps": 1e-12}).eval()
    state = {key: formula_tensor(key, value.shape) for key, value in model.state_dict().items()}
    model.load_state_dict(state, assign=True)
    return model


class WrittenOut(nn.Module):
    """Attention as the release computes it: the whole matrix of weights is made."""

    def __init__(self, attention: nn.Module):
        super().__init__()
        self.attention = attention

    def forward(self, tokens: Tensor, **_: object) -> Tensor:
        own = self.attention
        qkv = own.qkv(tokens).unflatten(2, (3, own.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        return own.proj((weights @ v).transpose(1, 2).flatten(2))


def official_order(size: str) -> Infer:
    model = network(size)
    for block in model.trunk.blocks:
        block.attn = WrittenOut(block.attn)
    return lambda sound: model(torch.from_numpy(spectrogram(sound, exact=True))).numpy()


def port(size: str) -> Infer | None:
    """The classifier of the library transformers with our tensors; None where it is not
    installed."""
    try:
        from transformers import ASTConfig, ASTForAudioClassification
    except ImportError:
        return None
    sizes = SIZES[size]
    config = ASTConfig(
        hidden_size=sizes["embed_dim"],
        num_hidden_layers=12,
        num_attention_heads=sizes["num_heads"],
        intermediate_size=4 * sizes["embed_dim"],
        num_labels=CLASSES,
    )
    model = ASTForAudioClassification(config).eval()
    model.load_state_dict(port_state(network(size).state_dict()))
    return lambda sound: model(torch.from_numpy(spectrogram(sound, exact=True))).logits.numpy()


def port_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under the names that the library has in memory."""
    trunk = "audio_spectrogram_transformer."
    names = {
        "trunk.cls_token": f"{trunk}embeddings.cls_token",
        "trunk.dist_token": f"{trunk}embeddings.distillation_token",
        "trunk.pos_embed": f"{trunk}embeddings.position_embeddings",
        "trunk.patch_embed.proj": f"{trunk}embeddings.patch_embeddings.projection",
        "trunk.blocks.": f"{trunk}layers.",
        "trunk.norm.": f"{trunk}layernorm.",
        "head.0": "classifier.layernorm",
        "head.1": "classifier.dense",
    }
    inside = {
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "attn.proj": "attention.o_proj",
    }
    found = {}
    for key, value in state.items():
        start = next(start for start in names if key.startswith(start))
        name = names[start] + key.removeprefix(start)
        for ours, theirs in inside.items():
            name = name.replace(ours, theirs)
        if ".attn.qkv." in name:
            for part, third in zip("qkv", value.chunk(3), strict=True):
                found[name.replace("attn.qkv", f"attention.{part}_proj")] = third
        else:
            found[name] = value
    return found


def spectrogram(sound: np.ndarray, *, exact: bool) -> np.ndarray:
    return FEATURES.network_input(sound, exact=exact, min_frames=16)[None]


def ours(size: str, engine: str, exact: bool) -> Infer:
    example = np.zeros((2, FRAMES, 128), np.float32)
    unnamed = Network(size, lambda: network(size), example, None)  # nothing of it is kept
    run = prepare(unnamed, engine=engine, device="cpu")
    return lambda sound: run(spectrogram(sound, exact=exact))


@torch.inference_mode()
def fastest(
    variants: dict[str, Infer], sound: np.ndarray
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Processor seconds of the best of some runs of each, in turn; and the logits."""
    seconds, outputs = {name: [] for name in variants}, {}
    for _ in range(REPEATS):
        for name, infer in variants.items():
            started = time.process_time()
            outputs[name] = infer(sound)
            seconds[name].append(time.process_time() - started)
    return {name: min(runs) for name, runs in seconds.items()}, outputs


def compare_speed(size: str) -> None:
    variants = {
        "transformers AST": port(size),
        "official order": official_order(size),
        "ours, exact, float32": ours(size, "eager", True),
        "ours, fast, float32": ours(size, "eager", False),
        "ours, fast, auto": ours(size, "auto", False),
    }
    variants = {name: infer for name, infer in variants.items() if infer}
    peer = next(iter(variants))
    for seconds in CLIP_SECONDS:
        sound = noise(seconds)
        for name in [name for name in variants if name.endswith("auto")]:
            variants[name] = ours(size, "auto", False)  # it chooses by the first batch
            variants[name](sound)
        times, logits = fastest(variants, sound)
        rows = [
            (
                name,
                times[name],
                f"{times[peer] / times[name]:.2f}x",
                f"{np.abs(logits[name] - logits[peer]).max():.0e}",
            )
            for name in variants
        ]
        header = (
            "order and engine",
            "seconds",
            f"speed against {peer}",
            "largest change of a logit",
        )
        print_table(
            f"{size}, a clip of {seconds} s, {torch.get_num_threads()} threads", header, rows
        )


def products_alone(size: str) -> Infer:
    """The matrix products that a padded clip needs, one by one, in float32, and nothing else."""
    config, depth = SIZES[size], 12
    dim, heads = config["embed_dim"], config["num_heads"]
    tokens = 12 * 101 + 2  # of 128 x 1024, patches of 16 each 10, and two class tokens
    x, wide = torch.randn(tokens, dim), torch.randn(tokens, 4 * dim)
    qkv, out, up, down = (
        torch.randn(shape) for shape in ((dim, 3 * dim), (dim, dim), (dim, 4 * dim), (4 * dim, dim))
    )
    query, key = torch.randn(heads, tokens, 64), torch.randn(heads, 64, tokens)
    weights = torch.randn(heads, tokens, tokens)

    pairs = ((x, qkv), (query, key), (weights, query), (x, out), (x, up), (wide, down))

    def infer(_: np.ndarray) -> np.ndarray:
        for a, b in depth * pairs:
            torch.matmul(a, b)
        return np.empty(0)

    return infer


def compare_limit(size: str) -> None:
    variants = {
        "its matrix products, one by one": products_alone(size),
        "ours, exact, float32": ours(size, "eager", True),
    }
    times, _ = fastest(variants, noise(10))
    whole = times["ours, exact, float32"]
    rows = [(name, seconds, f"{seconds / whole:.0%}") for name, seconds in times.items()]
    print_table(f"{size}, 10 s: what float32 is spent on", ("", "seconds", "share"), rows)


def compare_filterbank() -> None:
    import librosa

    sound = noise(10)
    variants = {
        "librosa": lambda sound: librosa.feature.melspectrogram(
            y=sound,
            sr=RATE,
            n_fft=512,
            win_length=400,
            hop_length=160,
            n_mels=128,
            fmin=20,
            htk=True,
            norm=None,
        ),
        "ours": filterbank,
    }
    for infer in variants.values():
        infer(sound)
    times, _ = fastest(variants, sound)
    rows = [
        (name, 1000 * times[name], f"{times['librosa'] / times[name]:.2f}x") for name in variants
    ]
    print_table("Filterbank of 10 s", ("", "ms", "speed"), rows)


def peak_memory(minutes: int) -> int:
    """MiB that a process of its own needs to classify a file of so many minutes with a small
    network."""
    import soundfile

    torch.manual_seed(0)
    config = {
        "num_classes": 10,
        "num_frames": 512,
        "embed_dim": 64,
        "depth": 1,
        "num_heads": 1,
        "stride": (16, 16),
    }
    module = build_model("ssast", config)
    labels = tuple(map(str, range(10)))
    features = Features(RATE, -6.0, 4.0, 512)
    small = AudioNetwork(
        name="small",
        build=lambda: module,
        example=np.zeros((2, 512, 128), np.float32),
        weights=None,
        features=features,
        labels=labels,
        min_frames=16,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.flac"
        with soundfile.SoundFile(path, "w", RATE, 1) as file:
            for _ in range(minutes):
                file.write(noise(60))
        AudioJob(small, Options(hop=2.5), engine="eager", device="cpu").predict(path)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def compare_memory() -> None:
    rows = []
    for minutes in LONG_MINUTES:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
            rows.append((minutes, processes.submit(peak_memory, minutes).result()))
    print_table("Peak memory of a long recording", ("minutes", "MiB"), rows)


def noise(seconds: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(seconds * RATE)).astype(np.float32)


def print_table(title: str, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    lines = [list(header), *rows]
    lines.insert(1, ["---"] * len(lines[0]))
    print(f"\n{title}\n")
    for line in lines:
        print(
            "| "
            + " | ".join(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in line)
            + " |"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the tiny size in place of base")
    parser.add_argument("--only", choices=("memory", "filterbank", "speed", "limit"))
    arguments = parser.parse_args()
    size = "tiny" if arguments.quick else "base"
    tables = {  # memory first, while this process is small: a child's peak starts from its parent's
        "memory": compare_memory,
        "filterbank": compare_filterbank,
        "speed": lambda: compare_speed(size),
        "limit": lambda: compare_limit(size),
    }
    for name, compare in tables.items():
        if arguments.only in (None, name):
            compare()
