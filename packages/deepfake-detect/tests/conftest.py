"""Small networks with fresh weights, and inputs that the tests make or the package brings."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepfake_detect.crops import CropRule
from deepfake_detect.model import build_model
from deepfake_detect.networks import FakeNetwork
from deepfake_detect.verdict import Thresholds
from vitrail.faces.base import Detector
from vitrail.faces.face import Face
from vitrail.weights.catalogue import Weights

PORTRAIT = Path(__file__).parents[1] / "examples" / "portrait.mp4"
SMALL = {
    "img_size": 64,
    "backbone": "convnext_atto",
    "backbone_options": {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)},
    "embedding": 12,
    "hidden": 8,
}
SMALL_VAE = {"encoder_widths": (4, 8, 8, 8), "latent_channels": 4}


@pytest.fixture
def portrait() -> Path:
    """75 frames of one real face, 480x480, 25 frames a second."""
    return PORTRAIT


def small_config(name: str) -> dict:
    """The options of a network of a few thousand parameters at 64 px."""
    return SMALL | (SMALL_VAE if name == "vae" else {})


def small_network(name: str, seed: int = 0) -> FakeNetwork:
    torch.manual_seed(seed)
    module = build_model(f"genconvit-{name}", small_config(name)).eval()
    return FakeNetwork(
        name=name,
        module=module,
        example=torch.zeros(2, 3, 64, 64),
        weights=Weights(
            name=name, path=Path(f"{name}.safetensors"), sha256=name.ljust(64, "0"), metadata={}
        ),
        crop=CropRule(img_size=64, box="detector", margin=0.2),
        temperature=1.0,
        thresholds=Thresholds(0.4, 0.6),
    )


@pytest.fixture
def networks() -> list[FakeNetwork]:
    return [small_network("ed"), small_network("vae", seed=1)]


@pytest.fixture(scope="session")
def portrait_frame() -> np.ndarray:
    from vitrail.preprocess.video import open_video

    return next(open_video(PORTRAIT).frames([0])).image


@pytest.fixture(scope="session")
def astronaut():
    """A public-domain portrait, uint8 RGB (512, 512, 3), and the five landmarks of its face, placed
    by hand."""
    from skimage.data import astronaut

    landmarks = [[200, 102], [247, 103], [220, 125], [199, 143], [240, 144]]
    return astronaut(), np.array(landmarks, np.float32)


@pytest.fixture(scope="session")
def region(astronaut):
    """The astronaut's face with its surroundings, its points guessed from the five."""
    from deepfake_detect.data import cut_region
    from deepfake_detect.face_points import points_from_landmarks

    image, landmarks = astronaut
    return cut_region(image, points_from_landmarks(landmarks))


MESH_GROUPS = {
    "face_oval_in_order": list(range(36)),
    "right_brow": list(range(36, 46)),
    "left_brow": list(range(46, 56)),
    "right_eye_corner_outer": 56,
    "right_eye_corner_inner": 57,
    "left_eye_corner_inner": 58,
    "left_eye_corner_outer": 59,
    "nose_tip": 60,
    "mouth_right": 61,
    "mouth_left": 62,
}


@pytest.fixture
def faces(tmp_path, region):
    """Two pictures of one face with a mesh of its 63 points, and one that the mesh does not
    know."""
    for name in ("a.png", "b.png", "unknown.png"):
        (tmp_path / "train").mkdir(exist_ok=True)
        Image.fromarray(region.image).save(tmp_path / "train" / name)
    points = np.stack([region.points] * 2)
    np.savez(
        tmp_path / "mesh.npz",
        files=["train/a.png", "train/b.png"],
        xy_times_32=(points * 32).astype(np.int16),
    )
    (tmp_path / "mesh.json").write_text(json.dumps({"file": "mesh.npz", "groups": MESH_GROUPS}))
    return tmp_path


class MiddleFace(Detector):
    """Finds two faces in each picture of at least 40 pixels: a small one, and a large one in its
    middle."""

    sha256 = "0" * 64

    def search(self, images):
        return [
            self._faces(*image.shape[:2]) if min(image.shape[:2]) >= 40 else [] for image in images
        ]

    def _faces(self, height, width):
        x, y, unit = width / 2, height / 2, min(height, width) / 10
        landmarks = np.array([[-1, -1], [1, -1], [0, 0], [-1, 1], [1, 1]], np.float32) * unit + (
            x,
            y,
        )
        large = Face(
            (x - 2 * unit, y - 3 * unit, x + 2 * unit, y + 3 * unit),
            0.8,
            landmarks.astype(np.float32),
        )
        return [Face((0, 0, unit, unit), 0.9, landmarks.astype(np.float32)), large]


@pytest.fixture
def middle_face() -> Detector:
    return MiddleFace()
