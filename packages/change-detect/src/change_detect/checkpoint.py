"""Any weights file to what it holds: our own, or one of the release."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from change_detect import official
from change_detect.models import ARCHITECTURE, build_model
from change_detect.models.config import RELEASED
from vitrail.errors import InputError
from vitrail.weights.files import load_into, read_state
from vitrail.weights.header import complete


@dataclass(frozen=True)
class Checkpoint:
    """``config`` are options of ``build_model``; ``state`` the tensors under our names;
    ``metadata`` is empty for files of the release."""

    path: Path
    architecture: str
    config: Mapping[str, Any]
    metadata: Mapping[str, Any]
    state: Mapping[str, Tensor]

    def build(self) -> nn.Module:
        """The network with its weights, in evaluation mode; InputError where they do not fit."""
        with complete(self.path, "change-detect"):
            module = build_model(self.architecture, self.config)
        load_into(module, self.state, subject=self.path, assign=True)
        return module.eval()


def read_checkpoint(path: Path) -> Checkpoint:
    """Raises InputError for a file that is damaged, or holds no ChangeViT."""
    state, metadata = read_state(path)
    if "architecture" in metadata:
        with complete(path, "change-detect"):
            return Checkpoint(path, metadata["architecture"], metadata["config"], metadata, state)
    converted = official.convert(state)
    try:
        config = {**official.read_config(converted), **RELEASED}
    except InputError as error:
        raise InputError(path, error.problem, error.remedy) from error
    return Checkpoint(path, ARCHITECTURE, config, {}, converted)
