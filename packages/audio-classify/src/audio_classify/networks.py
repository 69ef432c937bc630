"""The networks, ready to run: bundled, from the user's own training, or official."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audio_classify import system
from audio_classify.models import CONFIGS
from audio_classify.models.config import CNNConfig, SSASTConfig
from audio_classify.sound.features import Features
from vitrail.engine import Network
from vitrail.errors import InputError
from vitrail.weights.catalogue import Weights, resolve
from vitrail.weights.header import as_dataclass, complete

if TYPE_CHECKING:
    from torch import nn

BUNDLED = ("sounds", "digits")
CODE = ("audio_classify.models",)


@dataclass(frozen=True, kw_only=True)
class AudioNetwork(Network):
    """``labels`` is empty for a network that was pre-trained only: it gives embeddings. With
    ``multi_label`` each class has a probability of its own; otherwise they sum to 1. Inputs have at
    least ``min_frames``. ``unknown`` is the label of what is none of the classes, and a sound whose
    likeliest class does not reach ``accept`` is that, too."""

    features: Features
    labels: tuple[str, ...]
    multi_label: bool = False
    min_frames: int = 1
    unknown: str | None = None
    accept: float = 0.0

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """(B, classes) from logits of the same shape."""
        if self.multi_label:
            return 0.5 * (1 + np.tanh(0.5 * logits))  # the sigmoid, without overflow
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def with_embedding(self) -> "AudioNetwork":
        """The same network with rows (classes + dim): the embedding follows the logits."""
        build = partial(_with_embedding, self.build)
        return replace(self, name=f"{self.name}-embedding", build=build)


def load_networks(weights: Sequence[str] = ()) -> list[AudioNetwork]:
    """The named or given weights files, by default the two bundled classifiers."""
    return [load_network(name) for name in weights or BUNDLED]


def load_network(name: str, labels: Path | None = None) -> AudioNetwork:
    """One weights file: ours, SSAST's or AST's own, or AST as the library transformers stores it.

    ``labels`` names a file with the classes of an official checkpoint, which brings none: a CSV
    with the column ``display_name``, or one name per line. Raises InputError where they do not fit.
    """
    weights = resolve(system, name)
    network = _own(weights) if "architecture" in weights.metadata else _official(weights)
    if labels is None:
        return network
    names = read_labels(labels)
    if len(names) != len(network.labels):
        problem = f"holds {len(names)} names for {len(network.labels)} classes"
        raise InputError(labels, problem, "give the right list")
    return replace(network, labels=names)


def read_labels(path: Path) -> tuple[str, ...]:
    """Class names from a CSV with the column ``display_name`` (AudioSet's own list), or one per
    line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            path, "cannot be read as a list of names", "give one name per line"
        ) from error
    if lines and "display_name" in lines[0].split(","):
        return tuple(row["display_name"] for row in csv.DictReader(lines))
    return tuple(line.strip() for line in lines if line.strip())


def _own(weights: Weights) -> AudioNetwork:
    with complete(weights.path, system.name):
        config = _config(weights.metadata)
        labels = tuple(weights.metadata["labels"])
        features = as_dataclass(Features, weights.metadata["features"])
        unknown = weights.metadata.get("unknown")
        accept = float(weights.metadata.get("accept", 0))
    if len(labels) != config.num_classes:
        problem = f"names {len(labels)} of {config.num_classes} classes"
        raise InputError(weights.path, problem, "use a file that 'vitrail train' wrote")
    if unknown is not None and unknown not in labels:
        raise InputError(weights.path, f"names no class {unknown}", "train it again")
    network = _network(weights, partial(_built, weights.path), config, features, labels)
    return replace(network, unknown=unknown, accept=accept)


def _config(metadata: Mapping[str, Any]) -> SSASTConfig | CNNConfig:
    return CONFIGS[metadata["architecture"]](**metadata["config"])


def _official(weights: Weights) -> AudioNetwork:
    """Only the tensors' shapes tell what it is, so they are read at once."""
    from audio_classify import official
    from audio_classify.checkpoint import read_checkpoint

    checkpoint = read_checkpoint(weights.path)
    config = SSASTConfig(**checkpoint.config)
    labels = tuple(f"class {number}" for number in range(config.num_classes))
    network = _network(weights, checkpoint.build, config, official.features(config), labels)
    return replace(network, multi_label=len(labels) == official.AUDIOSET_CLASSES)


def _network(
    weights: Weights,
    build: "Callable[[], nn.Module]",
    config: SSASTConfig | CNNConfig,
    features: Features,
    labels: tuple[str, ...],
) -> AudioNetwork:
    return AudioNetwork(
        name=weights.name,
        build=build,
        example=np.zeros((2, features.num_frames, config.num_bins), np.float32),
        weights=weights,
        code=CODE,
        features=features,
        labels=labels,
        min_frames=config.min_frames,
    )


def _built(path: Path) -> "nn.Module":
    from audio_classify.checkpoint import read_checkpoint

    return read_checkpoint(path).build()


def _with_embedding(build: Callable[[], Any]) -> "nn.Module":
    from audio_classify.models.ssast import WithEmbedding

    return WithEmbedding(build())
