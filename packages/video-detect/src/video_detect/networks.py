"""The network, ready to run: what is computed of each frame, and what of each window."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from video_detect import checkpoint, system
from vitrail.engine import Network
from vitrail.errors import UsageError
from vitrail.weights.catalogue import resolve

BUNDLED = "tgbformer"
NETS = ("both", "transformer", "graph", "single")  # what carries memory across frames
CODE = ("video_detect.models",)
FRAME, CLIP = "frame", "clip"
STRIDE = 16  # pixels of a step of the memory


@dataclass(frozen=True)
class Detector:
    """A weights file with its ``facts`` and its two networks for frames of one size.

    ``frame`` takes float32 RGB (3, H, W) of 0..255 to the memory (C, H / 16, W / 16); ``clip``
    takes that of a window (N, C, h, w) to logits (N, Q, classes) and boxes (N, Q, 4).
    """

    frame: Network
    clip: Network
    facts: checkpoint.Facts
    net: str


def load_detector(name: str = BUNDLED, net: str | None = None) -> Detector:
    """One weights file; ``net`` says which branches carry memory across frames, None: both where
    they were trained.

    Raises UsageError for a branch that was not trained.
    """
    weights = resolve(system, name)
    facts = checkpoint.describe(weights)
    net = net or ("both" if facts.has_memory else "single")
    if net != "single" and not facts.has_memory:
        problem = "is an image detector, whose branches were not trained"
        raise UsageError(weights.name, problem, "take --net single, or train the second stage")
    side, config = facts.side, facts.config
    step = side // STRIDE
    # Noise: among equal values the network's choices would be arbitrary in every row.
    rng = np.random.default_rng(0)
    image = rng.standard_normal((2, 3, side, side)).astype(np.float32)
    shape = (2, config["window"], config["embed_dim"], step, step)
    memory = rng.standard_normal(shape).astype(np.float32)
    frame = partial(checkpoint.frame_part, weights)
    clip = partial(checkpoint.clip_part, weights, net)
    return Detector(
        Network(FRAME, frame, image, weights, CODE),
        Network(f"{CLIP}-{net}", clip, memory, weights, CODE, ranks=True),
        facts,
        net,
    )


def load_networks(weights: Sequence[str] = ()) -> list[Network]:
    """Both networks of the bundled file, or of those named."""
    found = [load_detector(name) for name in weights or (BUNDLED,)]
    return [network for detector in found for network in (detector.frame, detector.clip)]
