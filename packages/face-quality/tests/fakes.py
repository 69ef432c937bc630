"""Small networks with fresh weights, faces, and pictures of them, for tests."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from face_quality.models import ARCHITECTURE, build_model
from face_quality.networks import QualityNetwork, load_network
from face_quality.scale import Calibration
from vitrail.faces.align import TEMPLATE
from vitrail.faces.face import Face
from vitrail.faces.find import DETECTOR, Finder
from vitrail.preprocess.image import read_image
from vitrail.weights.files import save

PORTRAIT = Path(__file__).parents[1] / "examples" / "portrait.jpg"
SMALL = {
    "stem": "conv",
    "stem_widths": (4, 8, 16),
    "embed_dim": 32,
    "depth": 2,
    "num_heads": 2,
    "embedding_dim": 16,
}
SCALE = Calibration(tuple(np.linspace(-1, 1, 11)), tuple(np.linspace(0, 1, 11)), "made")


def portrait() -> np.ndarray:
    """uint8 RGB (400, 360, 3) with one face."""
    return read_image(PORTRAIT)


def write_weights(path: Path, calibration: Calibration | None = SCALE, **changes) -> Path:
    """A weights file as ``vitrail train`` writes them, of a small network with fresh weights."""
    torch.manual_seed(0)
    model = build_model(SMALL | changes)
    # Fresh networks know no difference between pictures; a wide last layer makes one.
    with torch.no_grad():
        model.head_qs[1].weight.normal_(0, 1)
        if model.qs_token is not None:
            model.qs_token.normal_(0, 1)
    facts = {"system": "face-quality", "architecture": ARCHITECTURE, "config": asdict(model.config)}
    if calibration is not None:
        facts["calibration"] = calibration.to_dict()
    save(path, model.state_dict(), facts, dtype=torch.float32)
    return path


def small_network(folder: Path, **options) -> QualityNetwork:
    return load_network(str(write_weights(folder / "small.safetensors")), **options)


class Seen(Finder):
    """Finds what it was told, in every picture."""

    def __init__(self, *faces: Face):
        super().__init__({DETECTOR: _Told(faces)})


class _Told:
    name, device, weights = "told", "cpu", "0" * 64

    def __init__(self, faces: tuple[Face, ...]):
        self.rows = [[one.score, *one.box, *one.landmarks.ravel()] for one in faces]

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        return [np.array(self.rows).reshape(-1, 15) for _ in images]


def face_at(x: float, y: float, scale: float = 1.0, score: float = 0.9) -> Face:
    """An upright face whose crop's corner lies at (x, y), its template scaled."""
    landmarks = (TEMPLATE * scale + [x, y]).astype(np.float32)
    box = tuple(float(v) for v in (np.array([22, 14, 90, 106]) * scale + [x, y, x, y]))
    return Face(box, score, landmarks)
