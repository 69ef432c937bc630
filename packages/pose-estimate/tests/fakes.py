"""Small weights and pictures that tests make."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from pose_estimate.models import build_model
from pose_estimate.skeleton import skeleton
from vitrail.detection.model import Config, PointDetector
from vitrail.testing.media import pattern, write_picture
from vitrail.weights.files import save

EVITPOSE = {
    "img_size": (64, 48),
    "embed_dim": 24,
    "depth": 3,
    "num_heads": 2,
    "decoder": "simple",
    "heads": ("heatmap", "token", "regression"),
    "select_after": (1,),
}
UNITRANSPOSE = {
    "img_size": (64, 64),
    "embed_dim": 8,
    "depths": (1, 1, 1, 1),
    "num_heads": (1, 1, 2, 2),
    "window": (4, 4),
    "decoder_dim": 8,
}
FINDER = Config(stem=4, dims=(4, 8, 8, 8), depths=(1, 1, 1), neck=8)


def pose_weights(folder: Path, kind: str = "evitpose", **metadata) -> Path:
    """A network with fresh weights; ``metadata`` takes the place of what describes it."""
    config = {"evitpose": EVITPOSE, "unitranspose": UNITRANSPOSE}[kind]
    torch.manual_seed(0)
    state = build_model(kind, config).state_dict()
    facts = {"system": "pose-estimate", "architecture": kind, "config": config}
    facts |= {"skeleton": skeleton("coco").to_dict()} | metadata
    path = folder / f"{kind}.safetensors"
    save(path, state, facts, torch.float32)
    return path


def finder_weights(folder: Path, score: float = -4.6) -> Path:
    """A finder whose points all have about the same logit: with a high one it finds people
    everywhere, with a low one nowhere."""
    torch.manual_seed(0)
    network = PointDetector(FINDER)
    network.head[-1].bias.data[0] = score
    path = folder / "finder.safetensors"
    facts = {"system": "pose-estimate", "architecture": "PointDetector", "config": asdict(FINDER)}
    save(path, network.state_dict(), facts, torch.float32)
    return path


def photograph(folder: Path, name: str = "street.png", size: tuple[int, int] = (120, 90)) -> Path:
    """A picture of ``size`` (width, height)."""
    return write_picture(folder / name, pattern(*size))


def boxes_csv(folder: Path, rows: str = "street.png,10,5,60,80,0.9\n") -> Path:
    path = folder / "boxes.csv"
    path.write_text("image,x,y,width,height,score\n" + rows)
    return path


def moving_box(length: int) -> list[np.ndarray]:
    """Where a person is who walks to the right."""
    return [np.array([20.0 + 4 * n, 30.0, 30.0, 60.0]) for n in range(length)]


class _Detector(torch.nn.Module):
    """Of any image one person and one cat, both from a tenth to nine tenths of it."""

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        height, width = (torch.as_tensor(side, dtype=torch.float32) for side in image.shape[2:])
        box = torch.stack((width, height, 9 * width, 9 * height)) / 10
        scores = 0.75 + 0 * image.mean() * torch.ones(2)
        return torch.stack((box, box)), scores, torch.tensor([0, 15])


def detector_onnx(folder: Path, side: int | None = None) -> Path:
    """A detector as others export them, for images of one ``side`` or of any size."""
    path = folder / "detector.onnx"
    image, axes = torch.zeros(1, 3, side or 48, side or 64), {"image": {2: "height", 3: "width"}}
    names = {"input_names": ["image"], "output_names": ["boxes", "scores", "labels"]}
    free = None if side else axes
    torch.onnx.export(_Detector(), (image,), path, dynamo=False, dynamic_axes=free, **names)
    return path
