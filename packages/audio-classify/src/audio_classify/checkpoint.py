"""Any weights file to what it holds: our own, SSAST's or AST's, or AST as the library transformers
stores it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audio_classify import official, system
from audio_classify.models import build_model
from audio_classify.models.config import SSASTConfig
from audio_classify.models.ssast import SSAST, AudioCNN, resize_positions
from vitrail.errors import InputError
from vitrail.weights.catalogue import resolve
from vitrail.weights.files import load_into, read_state


@dataclass(frozen=True)
class Checkpoint:
    """``config`` are options of ``build_model``; ``state`` the tensors under our keys, as they lie
    in the file; ``metadata`` is empty for files of others."""

    path: Path
    architecture: str
    config: Mapping[str, Any]
    metadata: Mapping[str, Any]
    state: Mapping[str, Tensor]

    def build(self) -> SSAST | AudioCNN:
        """The network with its weights, in evaluation mode; InputError where they do not fit."""
        with torch.device("meta"):
            module = build_model(self.architecture, self.config)
        load_into(module, self.state, subject=self.path, assign=True)
        return module.eval()


def read_checkpoint(path: Path) -> Checkpoint:
    """Raises InputError for a file that is damaged, or holds neither SSAST nor AST."""
    state, metadata = read_state(path)
    if "architecture" in metadata:
        return Checkpoint(path, metadata["architecture"], metadata["config"], metadata, state)
    config = official.read_config(state)
    tensors = {
        key: value
        for key, value in official.convert(state).items()
        if key.startswith(("trunk.", "head."))  # the heads of the pre-training are not used again
    }
    return Checkpoint(path, "ssast", config, {}, tensors)


def initial_trunk(name: str, config: SSASTConfig) -> dict[str, Tensor]:
    """The trunk's tensors of a catalogued name or a weights file as the start of another network's,
    the positions resized for the length of its inputs.

    The patches keep their size; only their stride may differ. Raises InputError where there is no
    such trunk.
    """
    checkpoint = read_checkpoint(resolve(system, name).path)
    trunk = {
        key.removeprefix("trunk."): value.float()
        for key, value in checkpoint.state.items()
        if key.startswith("trunk.")
    }
    if "pos_embed" not in trunk:
        raise InputError(
            checkpoint.path, "holds no transformer to start from", "give weights of SSAST"
        )
    before = SSASTConfig(**checkpoint.config)
    old, new = (one.grid(one.num_frames) for one in (before, config))
    trunk["pos_embed"] = resize_positions(trunk["pos_embed"], old, new, config.class_tokens)
    return trunk
