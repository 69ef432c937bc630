"""How a network is fitted to a scene, by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Preset:
    """``config`` are options of the architecture; ``components`` None takes all bands, each with a
    variance of one. ``whitening`` is that of ``fit_components``, ``per_patch`` the release's
    normalisation of each patch. ``gain`` and ``noise`` are the deviations of the augmentation."""

    architecture: str
    config: Mapping[str, Any] = field(default_factory=dict)
    components: int | None = 15
    whitening: float = 0.5
    standardise: bool = True
    per_patch: bool = False
    patch: int = 9
    steps: int = 150
    batch_size: int = 32
    lr: float = 1e-3
    weight_decay: float = 0.05
    gain: float = 0.1
    noise: float = 0.1
    smoothing: float = 0.05


SMALL = {
    "patch": 9,
    "embed_dim": 32,
    "depths": (2, 2, 2),
    "num_heads": (2, 4, 8),
    "mlp_ratio": 2.0,
    "rank": 0,
    "spectral_widths": (4, 8),
    "shortcut": True,
}
PRESETS = {
    "small": Preset("specvit", SMALL),
    "conv": Preset(
        "conv",
        {"patch": 9},
        components=None,
        steps=250,
        batch_size=64,
        lr=3e-3,
        weight_decay=0.01,
    ),
    "official": Preset(
        "specvit",
        {},
        whitening=1.0,
        standardise=False,
        per_patch=True,
        patch=15,
        lr=2e-5,
        weight_decay=0.01,
        gain=0.0,
        noise=0.0,
        smoothing=0.1,
    ),
}
