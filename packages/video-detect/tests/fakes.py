"""A network as small as they come, and films of a square that moves."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from video_detect.models import Config, TGBFormer
from vitrail.weights.files import save

LABELS = ("person", "car", "dog")
CONFIG = Config(
    backbone="efficientnet_lite0", maps=(2, 3, 4), merged=True, dilated=False, embed_dim=32,
    num_heads=2, num_points=2, encoder_layers=1, decoder_layers=2, mlp_dim=32, num_queries=6,
    num_classes=len(LABELS), two_stage=True, graph_layers=2, neighbours=4, graph_window=3,
    window=4,
)  # fmt: skip


def tiny_model(seed: int = 0) -> TGBFormer:
    """With weights that make its parts differ from the identity."""
    torch.manual_seed(seed)
    model = TGBFormer(CONFIG).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if not name.startswith("backbone.") and value.ndim > 1:
                value += 0.05 * torch.randn(value.shape, generator=generator)
    return model


def save_tiny(path: Path, *, stage: str = "clip", **changes) -> Path:
    metadata = {
        "system": "video-detect",
        "architecture": "tgbformer",
        "config": asdict(CONFIG),
        "stage": stage,
        "labels": list(LABELS),
        "side": 64,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "score": 0.01,
    }
    save(path, tiny_model().state_dict(), metadata | changes)
    return path


def film(length: int = 12, width: int = 96, height: int = 64) -> list[np.ndarray]:
    """A bright square that moves over noise."""
    ground = np.random.default_rng(0).integers(40, 90, (height, width, 3), dtype=np.uint8)
    frames = []
    for number in range(length):
        frame = ground.copy()
        x = 4 + 4 * number
        frame[20:44, x : x + 24] = (220, 60, 40)
        frames.append(frame)
    return frames
