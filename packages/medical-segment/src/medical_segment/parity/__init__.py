"""Every golden of the packs of both systems, computed by us."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from medical_segment.parity import cases, networks
from vitrail.errors import InputError
from vitrail.testing.parity import Comparison, check_packs

CHECKS = {  # by the beginning of a description's name
    "manifest": networks.check_manifest,
    "full_formula": networks.check_formula,
    "preproc": cases.check_preprocessing,
    "metrics": cases.check_metrics,
    "cell_metric": cases.check_cells,
    "vil": networks.check_vil,
    "noncubic": networks.check_segformer,
    "tiny_": networks.check_xlstm,
    "tiny": networks.check_segformer,
}


def check(folder: Path) -> list[Comparison]:
    """Every golden in a folder of the packs of either system; InputError for one that is not
    known."""
    return check_packs(folder, _check_pack)


def _check_pack(path: Path, spec: Mapping, tensors: Mapping[str, Tensor]) -> Iterator[Comparison]:
    """The comparisons of one description, by its file's name."""
    kind = next((name for name in CHECKS if path.stem.startswith(name)), None)
    if kind is None:
        raise InputError(path.stem, "is not a golden that we know", "give a folder of the packs")
    with torch.no_grad():
        yield from CHECKS[kind](spec, tensors, path.parent)
