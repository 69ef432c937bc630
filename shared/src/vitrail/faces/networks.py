"""The face detector's two networks, as ``vitrail export`` and ``vitrail bench`` run it."""

from collections.abc import Sequence

import torch

from vitrail.engine.network import Network
from vitrail.errors import UsageError
from vitrail.faces import landmarker, system
from vitrail.faces.detector import BUNDLED, FaceDetector, load_detector
from vitrail.weights.catalogue import resolve

SIDE = 320  # pixels of the example; any multiple of 64 will do


def load_networks(weights: Sequence[str] = ()) -> list[Network]:
    """Those of the bundled detector, or of a weight file that ``vitrail train`` wrote."""
    name = weights[0] if weights else BUNDLED
    detector = load_detector(name)
    if not isinstance(detector, FaceDetector):
        raise UsageError(name, "is no network of ours", "name a file that 'vitrail train' wrote")
    model, origin = detector.model, resolve(system, name)
    return [
        Network("detector", model.finder, torch.zeros(2, 3, SIDE, SIDE), origin),
        Network(
            "landmarker",
            model.landmarker,
            torch.zeros(2, 3, landmarker.SIDE, landmarker.SIDE),
            origin,
        ),
    ]
