"""Any weights file to what it holds: our own, ViTPose's or ViTPose++'s, or ViTPose as the library
transformers stores it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pose_estimate import official
from pose_estimate.models import build_model
from pose_estimate.models.evitpose import EViTPose
from pose_estimate.models.unitranspose import UniTransPose
from vitrail.errors import InputError, UsageError
from vitrail.weights.files import load_into, read_state


@dataclass(frozen=True)
class Checkpoint:
    """``config`` are options of ``build_model``; ``state`` the tensors under our keys, as they lie
    in the file; ``metadata`` is empty for files of others. ``dataset`` is that of ViTPose++ whose
    expert was taken, None for other files."""

    path: Path
    architecture: str
    config: Mapping[str, Any]
    metadata: Mapping[str, Any]
    state: Mapping[str, Tensor]
    dataset: str | None = None

    def build(self) -> EViTPose | UniTransPose:
        """The network with its weights, in evaluation mode; InputError where they do not fit."""
        with torch.device("meta"):
            module = build_model(self.architecture, self.config)
        load_into(module, self.state, subject=self.path, assign=True)
        return module.eval()


def read_checkpoint(path: Path, dataset: str | None = None) -> Checkpoint:
    """``dataset`` chooses an expert of ViTPose++ (default ``coco``).

    Raises InputError for a file that is damaged, or holds neither network; UsageError for a data
    set that it has no expert for.
    """
    state, metadata = read_state(path)
    count = 0 if "architecture" in metadata else official.experts(state)
    if dataset is not None and dataset not in official.DATASETS[:count]:
        known = ", ".join(official.DATASETS[:count]) or "it is no ViTPose++"
        raise UsageError(dataset, f"{path.name} has no expert for this data set", known)
    if "architecture" in metadata:
        return Checkpoint(path, metadata["architecture"], metadata["config"], metadata, state)
    try:
        number = official.DATASETS.index(dataset or "coco")
        tensors = official.convert(state, number)
        config = official.read_config(tensors)
    except InputError as error:
        raise InputError(path, error.problem, error.remedy) from None
    name = (dataset or "coco") if count else None
    return Checkpoint(path, "evitpose", config, {}, tensors, name)
