"""Any weights file to what it holds: our own, or LeTFuser's and DMFuser's."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from carla_drive import official
from carla_drive.models import build_model
from carla_drive.models.letfuser import LeTFuser
from vitrail.weights.files import load_into, read_state


@dataclass(frozen=True)
class Checkpoint:
    """``config`` are options of ``build_model``; ``state`` the tensors under our keys; ``metadata``
    is empty for files of others."""

    path: Path
    architecture: str
    config: Mapping[str, Any]
    metadata: Mapping[str, Any]
    state: Mapping[str, Tensor]

    def build(self) -> LeTFuser:
        """The network with its weights, in evaluation mode; InputError where they do not fit."""
        with torch.device("meta"):
            module = build_model(self.architecture, self.config)
        load_into(module, self.state, subject=self.path, assign=True)
        return module.float().eval()


def read_checkpoint(path: Path) -> Checkpoint:
    """Raises InputError for a file that is damaged, or holds neither network."""
    state, metadata = read_state(path)
    if "architecture" in metadata:
        return Checkpoint(path, metadata["architecture"], metadata["config"], metadata, state)
    architecture, config = official.read_shapes(state)
    return Checkpoint(path, architecture, asdict(config), {}, official.convert(state))
