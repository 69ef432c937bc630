"""Small networks with fresh weights, and inputs that the tests make or the package brings."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepfake_detect.decide.crops import CropRule
from deepfake_detect.decide.verdict import Thresholds
from deepfake_detect.model import build_model
from deepfake_detect.networks import FakeNetwork
from vitrail.faces.detector import load_finder
from vitrail.faces.find import DETECTOR, Finder
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
    def build():
        torch.manual_seed(seed)
        return build_model(f"genconvit-{name}", small_config(name)).eval()

    return FakeNetwork(
        name=name,
        build=build,
        example=np.zeros((2, 3, 64, 64), np.float32),
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
def finder() -> Finder:
    """The bundled face detector in plain PyTorch."""
    return load_finder(engine="eager", device="cpu")


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
    from deepfake_detect.data.points import points_from_landmarks

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
    """Two images of one face with a mesh of its 63 points, and one that the mesh does not
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


class MiddleFace:
    """An engine that finds two faces in each image of at least 40 pixels: a small one, and a large
    one in its middle."""

    name, device, weights = "toy", "cpu", "0" * 64

    def __call__(self, images):
        return [
            self._rows(*image.shape[:2]) if min(image.shape[:2]) >= 40 else np.zeros((0, 15))
            for image in images
        ]

    def _rows(self, height, width):
        x, y, unit = width / 2, height / 2, min(height, width) / 10
        landmarks = np.array([[-1, -1], [1, -1], [0, 0], [-1, 1], [1, 1]]) * unit + (x, y)
        large = (0.8, x - 2 * unit, y - 3 * unit, x + 2 * unit, y + 3 * unit, *landmarks.ravel())
        return np.array([(0.9, 0, 0, unit, unit, *landmarks.ravel()), large])


@pytest.fixture
def middle_face() -> Finder:
    return Finder({DETECTOR: MiddleFace()})
