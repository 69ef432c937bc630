"""The face detector's two networks, as ``vitrine export`` and ``vitrine bench`` run it."""

from collections.abc import Sequence

import torch

from vitrine.errors import UsageError
from vitrine.faces import landmarker, system
from vitrine.faces.detector import BUNDLED, FaceDetector, load_detector
from vitrine.network import Network
from vitrine.weights import resolve

SIDE = 320  # pixels of the example; any multiple of 64 will do


def load_networks(weights: Sequence[str] = ()) -> list[Network]:
    """Those of the bundled detector, or of a weight file that ``vitrine train`` wrote."""
    name = weights[0] if weights else BUNDLED
    detector = load_detector(name)
    if not isinstance(detector, FaceDetector):
        raise UsageError(name, "is no network of ours", "name a file that 'vitrine train' wrote")
    model, origin = detector.model, resolve(system, name)
    return [
        Network("detector", model.finder, torch.zeros(2, 3, SIDE, SIDE), origin),
        Network("landmarker", model.landmarker, torch.zeros(2, 3, landmarker.SIDE, landmarker.SIDE), origin),
    ]
