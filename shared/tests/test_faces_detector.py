"""Finding faces: sizes, batches, other detectors, and weight files that hold none."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from vitrail.detection.model import Config
from vitrail.detection.search import BoundedEngine
from vitrail.engine import prepare
from vitrail.errors import InputError, MissingError
from vitrail.faces import others
from vitrail.faces.detector import Detector, load_finder, read_faces
from vitrail.faces.face import Face
from vitrail.faces.find import DETECTOR, Finder
from vitrail.faces.landmarker import FaceModel
from vitrail.faces.networks import load_networks
from vitrail.faces.others import official_box
from vitrail.runner import solve
from vitrail.testing.beside import DATA, needs
from vitrail.weights.files import save

YUNET = DATA / "deepfake/models/face_detection_yunet_2023mar.onnx"
TINY = Config(stem=4, dims=(4, 8, 8, 8), depths=(1, 1, 1), neck=8)


class BrightSquares:
    """An engine that takes the bright part of an image for a face if it is at least ``least``
    pixels wide; notes the sizes it saw."""

    name, device, weights = "toy", "cpu", ""

    def __init__(self, least=0):
        self.least, self.seen = least, []

    def __call__(self, images):
        self.seen += [image.shape[:2] for image in images]
        return [self._one(image) for image in images]

    def _one(self, image):
        rows, columns = np.nonzero(image[..., 0] > 127)
        if not len(rows) or np.ptp(columns) + 1 < self.least:
            return np.zeros((0, 15))
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        return np.array([[0.9, *box, *[box[0]] * 10]], float)


def small_detector(seed, **options):
    """Our detector with two tiny networks of random weights, which run eagerly."""
    torch.manual_seed(seed)
    model = FaceModel(TINY).eval()
    return detector_of(model, **options)


def detector_of(model, **options):
    parts = {DETECTOR: model.finder, "face_landmarker": model.landmarker}
    engines = {
        network.name: prepare(
            replace(network, build=lambda part=parts[network.name]: part, weights=None),
            engine="eager",
            device="cpu",
        )
        for network in load_networks()
    }
    return Detector(engines, **options)


def picture(height, width, box):
    image = np.zeros((height, width, 3), np.uint8)
    x0, y0, x1, y1 = box
    image[y0:y1, x0:x1] = 255
    return image


@pytest.mark.parametrize("height, width", [(480, 640), (1440, 1920), (1280, 300), (2001, 1503)])
def test_faces_are_told_in_the_pixels_of_the_picture(height, width):
    box = (width // 4, height // 3, width // 2, height // 2)
    ((face,),) = Finder({DETECTOR: BrightSquares()}).predict([picture(height, width, box)])
    np.testing.assert_allclose(face.box, box, atol=max(height, width) / 640)
    np.testing.assert_allclose(face.landmarks[0, 0], box[0], atol=max(height, width) / 640)


def test_a_second_larger_look_only_where_nothing_was_found():
    detector = BrightSquares(least=30)
    small_face, large_face = (
        picture(720, 1280, (100, 100, 140, 140)),
        picture(720, 1280, (100, 100, 300, 300)),
    )
    nothing = picture(360, 500, (0, 0, 0, 0))
    found = Finder({DETECTOR: detector}).predict([small_face, large_face, nothing])
    assert [len(faces) for faces in found] == [1, 1, 0]
    assert found[0][0].box == (100, 100, 140, 140)
    assert detector.seen == [(360, 640), (360, 640), (360, 500), (720, 1280)]


def test_what_a_whole_chunk_shows_is_asked_at_once():
    """Both networks work on batches across the images of a chunk, whoever drives the generator."""
    detector = load_finder(engine="eager", device="cpu")
    image = np.full((90, 160, 3), 90, np.uint8)
    steps = detector.find([image] * 5)
    assert (ask := next(steps)).network == "face_detector" and len(ask.items) == 5
    sure = np.full((1, 15), 20.0, np.float32)
    sure[0, 1:5] = 10, 10, 80, 80
    sure[0, 5:] = 20, 30, 60, 30, 40, 50, 25, 70, 55, 70
    ask = steps.send([sure] * 5)
    assert ask.network == "face_landmarker" and len(ask.items) == 5
    steps.close()


def test_no_pictures_no_faces():
    assert Finder({DETECTOR: BrightSquares()}).predict([]) == []


def test_many_pictures_of_several_sizes_are_searched_like_each_alone():
    detector = small_detector(seed=0, min_score=0.0)
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        for size in ((40, 50), (33, 64), (40, 50), (5, 7))
    ]
    together = detector.predict(images)
    for image, faces in zip(images, together, strict=True):
        (alone,) = detector.predict([image])
        assert len(faces) == len(alone) > 0
        np.testing.assert_allclose(
            [face.box for face in faces], [face.box for face in alone], atol=1e-2
        )
        assert [face.score for face in faces] == sorted(
            (face.score for face in faces), reverse=True
        )


def test_of_overlapping_boxes_the_best_is_kept():
    rows = np.zeros((4, 15), np.float32)
    rows[:, 0] = 0.5, 3.0, 1.0, -5.0
    rows[:, 1:5] = [[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60], [80, 80, 90, 90]]
    faces = read_faces(rows, min_score=0.5)
    assert [face.box for face in faces] == [(1, 0, 11, 10), (50, 50, 60, 60)]
    assert faces[0].score == pytest.approx(torch.tensor(3.0).sigmoid().item())


def test_a_trained_file_is_loaded_as_it_was_saved(tmp_path):
    torch.manual_seed(1)
    model = FaceModel(TINY).eval()
    config = {"stem": 4, "dims": [4, 8, 8, 8], "depths": [1, 1, 1], "neck": 8}
    save(
        tmp_path / "own.safetensors",
        model.state_dict(),
        {"system": "faces", "config": config},
        dtype=torch.float32,
    )
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    loaded = load_finder(str(tmp_path / "own.safetensors"), min_score=0.0, engine="eager")
    (expected,) = detector_of(model, min_score=0.0).predict([image])
    (found,) = loaded.predict([image])
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(
        [face.box for face in found], [face.box for face in expected], atol=1e-3
    )
    assert [len(engine.weights) for engine in loaded.networks.values()] == [64, 64]


def test_large_images_are_searched_few_at_a_time():
    lengths = []

    class Counting:
        name, device, weights = "toy", "cpu", ""

        def __call__(self, batch):
            lengths.append(len(batch))
            return batch[:, 0, :1, :1].reshape(-1, 1)

    rows = BoundedEngine(Counting())(
        np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1) + np.zeros((1, 3, 1280, 1280), np.uint8)
    )
    assert lengths == [2, 2, 1] and rows[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_both_networks_are_handed_out_to_export(tmp_path):
    config = {"stem": 4, "dims": [4, 8, 8, 8], "depths": [1, 1, 1], "neck": 8}
    save(
        tmp_path / "own.safetensors",
        FaceModel(TINY).state_dict(),
        {"system": "faces", "config": config},
    )
    networks = load_networks([str(tmp_path / "own.safetensors")])
    assert [network.name for network in networks] == ["face_detector", "face_landmarker"]
    with torch.inference_mode():
        shapes = [network.module(torch.from_numpy(network.example)).shape for network in networks]
    assert shapes == [(2, 40 * 40 + 20 * 20 + 10 * 10 + 5 * 5, 15), (2, 5, 2)]


@pytest.mark.parametrize(
    "metadata", [{}, {"config": {"dims": [1, 2, 3, 4], "wings": 2}}, {"config": "FaceNet"}]
)
def test_weights_of_another_system_are_refused(tmp_path, metadata):
    save(tmp_path / "other.safetensors", {"layer.weight": torch.zeros(2, 2)}, metadata)
    with pytest.raises(InputError, match="holds no face detector"):
        load_finder(str(tmp_path / "other.safetensors"))


def test_a_missing_file_is_named():
    with pytest.raises(MissingError, match="nowhere"):
        load_finder("nowhere.safetensors")
    with pytest.raises(InputError, match="nowhere"):
        load_finder("nowhere.onnx")


@pytest.mark.parametrize("content", [b"", b"x", b"<!doctype html>", b"\x08\x07" * 500])
def test_a_file_that_is_no_yunet_is_refused(tmp_path, content):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(InputError):
        load_finder(str(tmp_path / "model.onnx"))


def test_another_onnx_network_is_no_yunet(tmp_path):
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("Relu", ["images"], ["positive"])
    ends = [
        onnx.helper.make_tensor_value_info(name, 1, (1, 3, 8, 8)) for name in ("images", "positive")
    ]
    graph = onnx.helper.make_graph([node], "relu", ends[:1], ends[1:])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "relu.onnx")
    with pytest.raises(InputError, match="not a YuNet"):
        load_finder(str(tmp_path / "relu.onnx"))


def test_landmarks_that_do_not_settle_lower_the_score(monkeypatch):
    """On a face each look finds the same; on anything else the landmarks wander, and it is left out
    or comes last."""
    steady, restless, lost = (
        Face((x, 0, x + 50, 50), score, np.zeros((5, 2), np.float32))
        for x, score in ((0, 0.7), (100, 0.9), (200, 0.7))
    )
    moves = {0: 0.0, 100: 1.0, 200: 10.0}  # pixels at each further look, by the place of the face
    faces = [restless, steady, lost]

    def look_again(images, landmarks):
        return [
            five + np.array([moves[face.box[0]], 0])
            for five, face in zip(landmarks, faces, strict=True)
        ]
        yield  # a generator, as the real one is

    monkeypatch.setattr("vitrail.faces.detector.sharpen", look_again)
    image = np.zeros((50, 300, 3), np.uint8)
    (found,) = solve({}, Detector({})._pointed([image], [faces]))
    assert [face.box[0] for face in found] == [0, 100]
    assert [face.score for face in found] == pytest.approx([0.7, 0.9 * np.exp(-15 * 1 / 50)])
    assert found[1].landmarks[0].tolist() == [2, 0]


def test_the_bundled_detector_finds_the_astronaut():
    _check_astronaut(load_finder(), landmarks=True)


def test_yunets_rows_become_faces_the_best_first(monkeypatch, tmp_path):
    """OpenCV tells of a box by its corner and its sides, and of the score last."""

    class Opened:
        def setInputSize(self, size):
            self.size = size

        def detect(self, image):
            rows = np.arange(30, dtype=np.float32).reshape(2, 15)
            rows[:, 14] = 0.8, 0.9
            return 1, rows

    monkeypatch.setattr(others.cv2.FaceDetectorYN, "create", lambda *_: Opened())
    (tmp_path / "yunet.onnx").write_bytes(b"weights")
    finder = load_finder(str(tmp_path / "yunet.onnx"))
    ((best, second),) = finder.predict([np.zeros((80, 120, 3), np.uint8)])
    assert finder.networks[DETECTOR]._network.size == (120, 80)
    assert (best.score, second.score) == pytest.approx((0.9, 0.8))
    assert second.box == (0, 1, 2, 4) and best.box == (15, 16, 32, 34)
    assert best.landmarks.tolist() == [[19, 20], [21, 22], [23, 24], [25, 26], [27, 28]]


@needs(YUNET.parent)
def test_yunet_finds_the_astronaut():
    _check_astronaut(load_finder(str(YUNET)), landmarks=True)


def test_dlib_finds_the_astronaut():
    pytest.importorskip("dlib")
    face = _check_astronaut(load_finder("dlib"), landmarks=False)
    x0, y0, x1, y1 = official_box(face.box)
    assert x1 - x0 == pytest.approx(y1 - y0)


def test_without_dlib_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "dlib", None)
    with pytest.raises(MissingError, match="install dlib-bin"):
        load_finder("dlib")


def _check_astronaut(finder, landmarks):
    """The photograph of skimage's: one face around (224, 118), beside a model of a rocket."""
    image = pytest.importorskip("skimage.data").astronaut()
    ((face,),) = finder.predict([image])
    x0, y0, x1, y1 = face.box
    assert x0 < 205 < 243 < x1 and y0 < 105 < 135 < y1
    assert 60 < face.size < 150
    if landmarks:
        left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
        assert left_eye[0] < nose[0] < right_eye[0] and left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    return face


@needs(DATA)
def test_heads_that_fill_the_image_are_certain_faces_when_enlarged_and_grey():
    """Blurred as enlarged photographs are; a fixed limit of 0.7 refused two of five."""
    finder = load_finder(engine="eager")
    photographs = sorted((DATA / "deepfake/faces_real/val").rglob("*.jpg"))[::10]
    certain = 0
    for path in photographs:
        image = Image.open(path).convert("L").crop((50, 40, 200, 210))  # of 250, the face in middle
        large = np.asarray(image.resize((450, 510), Image.Resampling.BICUBIC).convert("RGB"))
        faces = finder.predict([large])[0]
        certain += any(
            face.score >= finder.certain((face.box[2] - face.box[0]) / 450) for face in faces
        )
    assert len(photographs) >= 10 and certain >= 0.9 * len(photographs)


def test_small_faces_must_be_surer():
    finder = load_finder(engine="eager")
    assert finder.certain(0.1) > finder.certain(0.5) > 0.5
