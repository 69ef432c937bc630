"""Any weights file to what it holds: ours, or a checkpoint of the release; and a fitted network to
a file of ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from hsi_classify import official, system
from hsi_classify.models import build_model
from hsi_classify.models.specvit import SpecViT, streamline
from hsi_classify.onbase import on_base
from hsi_classify.scene.components import Components
from hsi_classify.scene.labels import Labels
from hsi_classify.scene.scene import Scene
from vitrail.errors import InputError
from vitrail.weights.files import load_into, read_state, save
from vitrail.weights.header import complete

DIGITS = 8  # of the numbers that stand in the metadata


@dataclass(frozen=True)
class Checkpoint:
    """``config`` are options of ``build_model``; ``state`` the tensors under our keys."""

    path: Path
    architecture: str
    config: Mapping[str, Any]
    state: Mapping[str, Tensor]

    def build(self) -> nn.Module:
        """The network in evaluation mode, its algebra shortened; InputError where weights do not
        fit."""
        with complete(self.path, system.name):
            module = build_model(self.architecture, self.config)
        load_into(module, self.state, subject=self.path, assign=True)
        module.eval()
        return streamline(module) if isinstance(module, SpecViT) else module


def read_checkpoint(path: Path) -> Checkpoint:
    """Raises InputError for a file that is damaged, or holds no such network, and for adapters
    without the base that they go on."""
    state, metadata = read_state(path)
    if "architecture" in metadata:
        if "on" in metadata:
            state = on_base(path, state, metadata["on"])
        with complete(path, system.name):
            return Checkpoint(path, metadata["architecture"], metadata["config"], state)
    if not official.is_official(state):
        raise InputError(path, "holds no LoLA-SpecViT", "give one that was saved or released")
    return Checkpoint(path, "specvit", official.read_config(state), official.convert(state))


def describe(
    scene: Scene,
    labels: Labels,
    components: Components,
    *,
    architecture: str,
    config: Mapping[str, Any],
    per_patch: bool,
) -> dict[str, Any]:
    """The metadata of a network that was fitted to a scene: all that the job needs beside its
    tensors."""
    classes = labels.classes
    waves = scene.cube.wavelengths
    return {
        "system": system.name,
        "architecture": architecture,
        "config": {k: list(v) if isinstance(v, tuple) else v for k, v in config.items()},
        "classes": classes,
        "names": {str(value): labels.name(value) for value in classes},
        "colours": {str(k): list(v) for k, v in labels.colours.items()},
        "per_patch": per_patch,
        "scene": {
            "bands": scene.cube.shape[2],
            "kept": scene.bands.kept.tolist(),
            "wavelengths": list(waves) if waves else None,
            "mean": _short(components.mean),
            "axes": _short(components.axes),
        },
    }


def save_network(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """One weights file, float16; InputError where it cannot be written."""
    save(path, state, metadata)


def _short(values: np.ndarray) -> list:
    text = np.char.mod(f"%.{DIGITS}g", values.astype(np.float64))
    return text.astype(np.float64).tolist()
