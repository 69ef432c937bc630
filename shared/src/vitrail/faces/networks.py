"""The face detector's two networks, ready to run."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitrail.engine import Network
from vitrail.errors import InputError
from vitrail.faces import looks, system
from vitrail.faces.find import DETECTOR
from vitrail.weights.catalogue import Weights, resolve
from vitrail.weights.header import as_dataclass

if TYPE_CHECKING:
    from torch import nn

    from vitrail.faces.landmarker import FaceModel

BUNDLED = "detector"
SIDE = 320  # pixels of the example; any multiple of 64 will do
SIZES = {
    "stem",
    "dims",
    "depths",
    "neck",
    "trunk",
}  # what a weights file tells, as in Config
CODE = ("vitrail.detection.model", "vitrail.faces.landmarker")


def load_networks(weights: Sequence[str] = ()) -> list[Network]:
    """The finder and the landmarker: bundled, or of a file that ``vitrail train`` wrote.

    Raises InputError for a file of another kind, MissingError for one that is not there.
    """
    origin = resolve(system, weights[0] if weights else BUNDLED)
    _require_sizes(origin.metadata.get("config"), origin.path)
    noise = np.random.default_rng(0)
    sides = {DETECTOR: SIDE, looks.LANDMARKER: looks.SIDE}
    parts = {DETECTOR: "finder", looks.LANDMARKER: "landmarker"}
    return [
        Network(
            name=name,
            build=partial(_build, origin, parts[name]),
            example=noise.integers(0, 256, (2, 3, side, side), np.uint8),
            weights=origin,
            code=CODE,
        )
        for name, side in sides.items()
    ]


def read_model(weights: Weights) -> "FaceModel":
    """Both networks with the weights of a file, as training goes on with them."""
    from vitrail.detection.model import Config
    from vitrail.faces.landmarker import FaceModel
    from vitrail.weights.files import load_into, read_state

    state, metadata = read_state(weights.path)
    _require_sizes(metadata.get("config"), weights.path)
    model = FaceModel(as_dataclass(Config, metadata["config"]))
    load_into(model, state, subject=weights.path)
    return model.eval()


def _build(weights: Weights, part: str) -> "nn.Module":
    from vitrail.detection.model import fold_norms

    return fold_norms(getattr(read_model(weights), part))


def _require_sizes(config: object, path: Path) -> None:
    """InputError where a file's metadata does not tell the sizes of a face detector."""
    if not isinstance(config, dict) or not config or not config.keys() <= SIZES:
        raise InputError(path, "holds no face detector", "use a file that 'vitrail train' wrote")
