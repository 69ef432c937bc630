"""Weights files of two kinds, told apart by what is in them: ours and the release's. Ours tell all
but their tensors without torch."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitrail.errors import InputError
from vitrail.weights.catalogue import Weights
from vitrail.weights.header import complete

if TYPE_CHECKING:
    from torch import Tensor

KEY = "model"  # under which the release keeps the tensors
REMEDY = "give the release's own file, or one that 'vitrail train' wrote"


def describe(weights: Weights) -> Mapping[str, Any]:
    """The network's options: from the metadata of a file of ours, from the tensors of the
    release's; InputError for any other file."""
    if "architecture" in weights.metadata:
        return _own(weights.path, weights.metadata)
    return read(weights.path)[0]


def read(path: Path) -> "tuple[Mapping[str, Any], dict[str, Tensor]]":
    """The network's options and its tensors by our names; InputError for any other file.

    The release's files hold their training's arguments too, an ``argparse.Namespace``, which is
    allowed by its type; nothing in the file is executed.
    """
    from image_colorize.official import convert, guess
    from vitrail.weights.files import read_state

    state, metadata = read_state(path, allowed=(Namespace,))
    if "architecture" in metadata:
        return _own(path, metadata), state
    if "patch_embed.proj.weight" not in state:
        raise InputError(path, "holds no iColoriT", REMEDY)
    with complete(path, "image-colorize"):
        return guess(state), convert(state)


def _own(path: Path, metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    if metadata["architecture"] != "icolorit" or not isinstance(metadata.get("config"), dict):
        raise InputError(path, "holds another network than an iColoriT", REMEDY)
    return metadata["config"]
