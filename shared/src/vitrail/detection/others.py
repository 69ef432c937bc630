"""Detectors of others as engines: those that transformers can load, torchvision's, and ONNX files
with their own suppression inside. Nothing is fetched.

Each takes uint8 RGB images (H, W, 3) of any sizes and gives for each of them rows (n, 6), best
first: x, y, width and height in its pixels, score, and the number of its label in ``labels``.
"""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vitrail.engine import choose_device
from vitrail.errors import InputError, MissingError, UsageError, plain
from vitrail.job import Engine
from vitrail.sources import sha256

NAME = "other_detector"
TORCHVISION = "torchvision:"
REMEDY = "install vitrail[detectors]"
COCO = (  # the 80 objects of COCO, as detectors that leave out the numbers without name count them
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella",
    "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
    "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange",
    "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant",
    "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip


class OtherDetector(Engine, Protocol):
    labels: tuple[str, ...]


class Transformers:
    """A detection model that the library transformers loads from a folder, such as RT-DETR v2,
    RF-DETR or Deformable DETR."""

    name = "eager"

    def __init__(self, folder: Path, device: str):
        try:
            import torch
            from transformers import AutoImageProcessor, AutoModelForObjectDetection
        except ImportError as error:
            raise MissingError("transformers", "is not installed", REMEDY) from error
        with plain(folder, "is no detector that transformers loads", "give a downloaded folder"):
            options = {"local_files_only": True, "trust_remote_code": False}
            self.processor = AutoImageProcessor.from_pretrained(folder, **options)
            self.model = AutoModelForObjectDetection.from_pretrained(folder, **options)
        named = {int(n): str(name).lower() for n, name in self.model.config.id2label.items()}
        self.labels = tuple(named.get(n, f"label {n}") for n in range(max(named, default=-1) + 1))
        self.device = choose_device(device)
        self.model.eval().to(self.device)
        self.weights = _folder_sha256(folder)
        self._torch = torch

    def __call__(self, *batch: np.ndarray) -> list[np.ndarray]:
        (images,) = batch
        torch = self._torch
        inputs = self.processor(images=list(images), return_tensors="pt").to(self.device)
        with torch.inference_mode():
            outputs = self.model(**inputs)
        sizes = [image.shape[:2] for image in images]
        found = self.processor.post_process_object_detection(
            outputs, threshold=0.0, target_sizes=sizes
        )
        return [_from_tensors(one) for one in found]


class Torchvision:
    """A detection network of torchvision by its name, with weights from a file; its labels are
    those of the weights that torchvision publishes for it."""

    name = "eager"

    def __init__(self, name: str, path: Path, device: str):
        try:
            import torch
            from torchvision.models import detection, get_model, get_model_weights, list_models
        except ImportError as error:
            raise MissingError("torchvision", "is not installed", REMEDY) from error
        from vitrail.weights.files import load_into, read_state

        known = list_models(module=detection)
        if name not in known:
            raise UsageError(name, "is no detector of torchvision", f"known: {', '.join(known)}")
        self.model = get_model(name, weights=None, weights_backbone=None).eval()
        load_into(self.model, read_state(path)[0], subject=path)
        self.labels = tuple(get_model_weights(name)["DEFAULT"].meta["categories"])
        self.device = choose_device(device)
        self.model.to(self.device)
        self.weights = sha256(path)
        self._torch = torch

    def __call__(self, *batch: np.ndarray) -> list[np.ndarray]:
        (images,) = batch
        torch = self._torch
        tensors = [
            torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).to(self.device) / 255
            for image in images
        ]
        with torch.inference_mode():
            found = self.model(tensors)
        return [_from_tensors(one) for one in found]


class OnnxDetector:
    """An ONNX file that takes one image (1, 3, H, W) of RGB 0..1, uint8 or float, of a free or a
    fixed size, and gives boxes (n, 4) as corners, scores (n,) and labels (n,), in any order, with
    or without a batch axis. Labels are named by the file's metadata ``names``, a dictionary, as
    exporters of YOLO write it; without it they are COCO's 80."""

    name, device = "onnx", "cpu"

    def __init__(self, path: Path):
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingError(
                "onnxruntime", "is not installed", "install vitrail[onnx]"
            ) from error
        with plain(path, "is no ONNX model", "export the detector again"):
            self.session = onnxruntime.InferenceSession(
                str(path), providers=["CPUExecutionProvider"]
            )
        (self.input,) = self.session.get_inputs()[:1]
        self.labels = _named(self.session.get_modelmeta().custom_metadata_map.get("names", ""))
        self.weights = sha256(path)
        self.path = path

    def __call__(self, *batch: np.ndarray) -> list[np.ndarray]:
        (images,) = batch
        return [self._search(image) for image in images]

    def _search(self, image: np.ndarray) -> np.ndarray:
        import cv2

        sides = self.input.shape[2:]
        scale = np.ones(2)
        seen = image
        if len(sides) == 2 and all(isinstance(side, int) for side in sides):
            seen = cv2.resize(image, (sides[1], sides[0]), interpolation=cv2.INTER_AREA)
            scale = np.array(image.shape[1::-1]) / np.array(seen.shape[1::-1])
        pixels = seen.transpose(2, 0, 1)[None]
        if "uint8" not in self.input.type:
            pixels = pixels.astype(np.float32) / 255
        with plain(self.path, "does not take such an image", "see the README for its form"):
            outputs = self.session.run(None, {self.input.name: np.ascontiguousarray(pixels)})
        arrays = [out for out in outputs if isinstance(out, np.ndarray)]
        if any(out.ndim == 3 for out in arrays):  # a batch axis; a single box alone has none
            arrays = [out[0] if out.ndim and out.shape[0] == 1 else out for out in arrays]
        boxes = next((out for out in arrays if out.ndim == 2 and out.shape[1] == 4), None)
        flat = [out for out in arrays if out.ndim == 1]
        scores = next((out for out in flat if out.dtype.kind == "f"), None)
        labels = next((out for out in flat if out.dtype.kind in "iu"), None)
        if boxes is None or scores is None:
            problem = "gives no boxes (n, 4) with scores (n,)"
            raise InputError(self.path, problem, "export it with its suppression inside")
        labels = np.zeros(len(scores), int) if labels is None else labels
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(self.labels):
            problem = f"tells label {labels.max()}, but only {len(self.labels)} labels are named"
            raise InputError(self.path, problem, "write all names into its metadata, as 'names'")
        corners = boxes.astype(np.float64).reshape(-1, 2, 2) * scale
        return _rows(corners.reshape(-1, 4), scores, labels)


def is_other(spec: str) -> bool:
    """Whether a detector is one of others: an ONNX file, torchvision's, or a folder."""
    return spec.startswith(TORCHVISION) or spec.lower().endswith(".onnx") or Path(spec).is_dir()


def load_other(spec: str, device: str = "auto") -> OtherDetector:
    """A folder that transformers loads, ``torchvision:NAME=FILE``, or an ONNX file.

    Raises InputError and UsageError for what is none, MissingError without its library.
    """
    if spec.startswith(TORCHVISION):
        name, equals, path = spec.removeprefix(TORCHVISION).partition("=")
        if not equals:
            raise UsageError(spec, "lacks its weights", "write torchvision:NAME=FILE")
        return Torchvision(name, Path(path), device)
    if spec.lower().endswith(".onnx"):
        return OnnxDetector(Path(spec))
    return Transformers(Path(spec), device)


def _from_tensors(found: Mapping[str, Any]) -> np.ndarray:
    """Rows of a mapping with tensors ``boxes`` (corners), ``scores`` and ``labels``."""
    boxes, scores, labels = (found[key].cpu().numpy() for key in ("boxes", "scores", "labels"))
    return _rows(boxes, scores, labels)


def _rows(corners: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    low, high = corners[:, :2].astype(np.float64), corners[:, 2:].astype(np.float64)
    rows = np.concatenate((low, high - low, np.stack((scores, labels), 1).astype(np.float64)), 1)
    return rows[np.argsort(-rows[:, 4], kind="stable")]


def _named(metadata: str) -> tuple[str, ...]:
    try:
        names = ast.literal_eval(metadata)
        named = {int(n): str(name).lower() for n, name in names.items()}
    except (ValueError, SyntaxError, AttributeError, TypeError, RecursionError):
        return COCO
    if not named or not 0 <= min(named) <= max(named) < 10_000:
        return COCO
    return tuple(named.get(n, f"label {n}") for n in range(max(named) + 1))


def _folder_sha256(folder: Path) -> str:
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    if not files:
        raise InputError(folder, "holds no weights", "give a downloaded folder")
    return sha256(files[0])
