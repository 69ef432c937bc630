"""Weights files of two kinds, told apart by what is in them: ours, and ViT-FIQA's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from face_quality.models.config import FIQAConfig
from face_quality.official import read_config
from vitrail.errors import InputError
from vitrail.weights.catalogue import Weights
from vitrail.weights.header import as_dataclass, complete

if TYPE_CHECKING:
    from torch import Tensor

    from face_quality.models.vit_fiqa import Scorer

EMBEDDING = "feature."


def is_own(metadata: Mapping[str, Any]) -> bool:
    return "architecture" in metadata


def describe(weights: Weights) -> FIQAConfig:
    """The sizes of the network: from the metadata of a file of ours, without torch; from the shapes
    of the tensors of others."""
    if is_own(weights.metadata):
        with complete(weights.path, "face-quality"):
            return as_dataclass(FIQAConfig, weights.metadata["config"])
    from vitrail.weights.files import open_state

    return FIQAConfig(**read_config(open_state(weights.path)))


def read_scorer(
    weights: Weights, config: FIQAConfig, *, exit_block: int | None, embeds: bool
) -> "Scorer":
    """What a job runs, with the file's weights; InputError where they do not fit ``config``.

    What the score does not need stays in the file: of a network with a quality token the largest
    layer, half of all weights.
    """
    import torch

    from face_quality.models.vit_fiqa import Scorer, ViTFIQA
    from vitrail.weights.files import check_values, load_into, open_state

    state = open_state(weights.path)
    # On the device "meta" nothing is made that is thrown away at once.
    with torch.device("meta"):
        model = ViTFIQA(config)
    _require_complete(state, model.state_dict(), weights.path)
    scorer = Scorer(model, exit_block=exit_block, embeds=embeds)
    read = {name: state[name] for name in scorer.model.state_dict()}
    check_values(weights.path, read)
    load_into(scorer.model, read, subject=weights.path, assign=True)
    return scorer.eval()


def _require_complete(
    state: "Mapping[str, Tensor]", wanted: "Mapping[str, Tensor]", path: Path
) -> None:
    """InputError where a tensor is missing, unknown or of another shape, also one that scoring
    leaves out."""
    wrong = [name for name in wanted if name not in state]
    wrong += [name for name in state if name not in wanted]
    wrong += [n for n in wanted if n in state and wanted[n].shape != state[n].shape]
    if wrong:
        raise InputError(
            path, f"does not fit ViT-FIQA in {len(wrong)} tensors", ", ".join(wrong[:3])
        )
