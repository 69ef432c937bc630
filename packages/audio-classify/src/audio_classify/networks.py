"""The networks, ready to run: bundled, from the user's own training, or official."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from audio_classify import checkpoint, official, system
from audio_classify.features import Features
from audio_classify.model import SSASTConfig, build_model
from vitrail.engine.network import Network
from vitrail.errors import InputError
from vitrail.weights.catalogue import Weights, resolve
from vitrail.weights.files import load_into, read_state

BUNDLED = ("sounds", "digits")
AUDIOSET_CLASSES = 527
OFFICIAL_RATE = 16_000


@dataclass(frozen=True)
class AudioNetwork(Network):
    """``labels`` is empty for a network that was pre-trained only: it gives embeddings. With
    ``multi_label`` each class has a probability of its own; otherwise they sum to 1."""

    features: Features
    labels: tuple[str, ...]
    multi_label: bool = False

    @property
    def shortest(self) -> int:
        """The fewest frames that the network takes."""
        config = self.module.config
        return config.patch[1] if isinstance(config, SSASTConfig) else 1

    def probabilities(self, logits: Tensor) -> Tensor:
        """(B, classes) from logits of the same shape."""
        return logits.sigmoid() if self.multi_label else logits.softmax(dim=-1)


class WithEmbedding(nn.Module):
    """A classifier that gives its logits and, after them, the embedding that it judged by."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, spectrogram: Tensor) -> Tensor:
        """(B, frames, bins) -> (B, classes + dim)."""
        embedding = self.module.embedding(spectrogram)
        logits = (
            embedding[:, :0]
            if isinstance(self.module.head, nn.Identity)
            else self.module.head(embedding)
        )
        return torch.cat([logits, embedding], dim=1)


def load_networks(weights: Sequence[str] = ()) -> list[AudioNetwork]:
    """The named or given weight files, by default the two bundled classifiers."""
    return [load_network(name) for name in weights or BUNDLED]


def load_network(name: str, labels: Path | None = None) -> AudioNetwork:
    """One weight file: ours, SSAST's or AST's own, or AST as the library transformers stores it.

    ``labels`` names a file with the classes of an official checkpoint, which brings none: a CSV
    with the column ``display_name``, or one name a line. Raises InputError where they do not fit.
    """
    weights = resolve(system, name)
    state, metadata = read_state(weights.path)
    network = (
        _own(weights, state, metadata) if "architecture" in metadata else _official(weights, state)
    )
    if labels is None:
        return network
    names = read_labels(labels)
    if len(names) != len(network.labels):
        raise InputError(
            labels,
            f"holds {len(names)} names for {len(network.labels)} classes",
            "give the right list",
        )
    return AudioNetwork(**{**vars(network), "labels": names})


def read_labels(path: Path) -> tuple[str, ...]:
    """Class names from a CSV with the column ``display_name`` (AudioSet's own list), or one a
    line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            path, "cannot be read as a list of names", "give one name a line"
        ) from error
    if lines and "display_name" in lines[0].split(","):
        return tuple(row["display_name"] for row in csv.DictReader(lines))
    return tuple(line.strip() for line in lines if line.strip())


def _own(weights: Weights, state: dict[str, Tensor], metadata: dict) -> AudioNetwork:
    try:
        architecture, config, labels = (
            metadata["architecture"],
            metadata["config"],
            tuple(metadata["labels"]),
        )
        features = Features.from_dict(metadata["features"], weights.path)
    except (KeyError, TypeError) as error:
        problem = f"its metadata lacks what {system.name} needs ({error})"
        raise InputError(weights.path, problem, "use a file that 'vitrail train' wrote") from error
    module = build_model(architecture, config)
    load_into(module, state, subject=weights.path)
    return _network(weights, module, features, labels)


def _official(weights: Weights, state: dict[str, Tensor]) -> AudioNetwork:
    config = checkpoint.read_config(state)
    tensors = {
        key: value
        for key, value in checkpoint.convert(state).items()
        if key.startswith(("trunk.", "head."))
    }
    with torch.device("meta"):
        module = build_model("ssast", config)
    load_into(module, tensors, subject=weights.path, assign=True)
    data = {512: "esc50", 128: "speechcommands"}.get(config["num_frames"], "audioset")
    mean, std, _ = official.NORMALISATION[data]
    labels = tuple(f"class {number}" for number in range(config["num_classes"]))
    features = Features(OFFICIAL_RATE, mean, std, config["num_frames"])
    return _network(weights, module, features, labels, multi_label=len(labels) == AUDIOSET_CLASSES)


def _network(weights, module, features, labels, multi_label=False) -> AudioNetwork:
    return AudioNetwork(
        name=weights.name,
        module=module.eval(),
        example=torch.zeros(2, features.num_frames, module.config.num_bins),
        weights=weights,
        features=features,
        labels=labels,
        multi_label=multi_label,
    )
