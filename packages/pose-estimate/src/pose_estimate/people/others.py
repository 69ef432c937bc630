"""Detectors of others as engines: those that transformers can load, torchvision's, and ONNX files
with their own suppression inside."""

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.errors import InputError, MissingError, UsageError, plain
from vitrail.job import Ask, Engine
from vitrail.sources import sha256

NAME = "other_detector"
TORCHVISION = "torchvision:"
PERSON = "person"


class OtherFinder:
    """Asks an engine that takes uint8 images (B, H, W, 3) and gives for each rows (n, 5): x, y,
    width, height in pixels and score, of people alone."""

    def __init__(self, engine: Engine, min_score: float):
        self.networks: Mapping[str, Engine] = {NAME: engine}
        self.min_score = min_score

    def find(self, images: Sequence[np.ndarray]) -> Generator[Ask, list, list[np.ndarray]]:
        found = yield Ask(NAME, list(images))
        return [_best_first(rows[rows[:, 4] >= self.min_score]) for rows in found]


class Transformers:
    """A detection model that the library transformers loads from a folder, such as RT-DETR v2,
    RF-DETR or Deformable DETR; nothing is fetched."""

    def __init__(self, folder: Path, device: str):
        try:
            import torch
            from transformers import AutoImageProcessor, AutoModelForObjectDetection
        except ImportError as error:
            raise MissingError(
                "transformers", "is not installed", "install vitrail-pose-estimate[detectors]"
            ) from error
        with plain(folder, "is no detector that transformers loads", "give a downloaded folder"):
            options = {"local_files_only": True, "trust_remote_code": False}
            self.processor = AutoImageProcessor.from_pretrained(folder, **options)
            self.model = AutoModelForObjectDetection.from_pretrained(folder, **options)
        labels = {str(name).lower(): int(n) for n, name in self.model.config.id2label.items()}
        if PERSON not in labels:
            raise InputError(folder, "has no class 'person'", "give a detector that knows people")
        self.person = labels[PERSON]
        self.device = _device(device)
        self.model.eval().to(self.device)
        self.name, self.weights = "eager", _folder_sha256(folder)
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
        return [_rows(one, self.person) for one in found]


class Torchvision:
    """A detection network of torchvision by its name, with weights from a file: label 1 is a
    person, as in COCO."""

    def __init__(self, name: str, path: Path, device: str):
        try:
            import torch
            from torchvision.models import detection, get_model, list_models
        except ImportError as error:
            raise MissingError(
                "torchvision", "is not installed", "install vitrail-pose-estimate[detectors]"
            ) from error
        from vitrail.weights.files import load_into, read_state

        known = list_models(module=detection)
        if name not in known:
            raise UsageError(name, "is no detector of torchvision", f"known: {', '.join(known)}")
        self.model = get_model(name, weights=None, weights_backbone=None).eval()
        load_into(self.model, read_state(path)[0], subject=path)
        self.device = _device(device)
        self.model.to(self.device)
        self.name, self.weights = "eager", sha256(path)
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
        return [_rows(one, person=1) for one in found]


class OnnxDetector:
    """An ONNX file that takes one image (1, 3, H, W) of RGB 0..1, uint8 or float, of a free or a
    fixed size, and gives boxes (n, 4) as corners, scores (n,) and labels (n,), in any order, with
    or
    without a batch axis; people have the label 0."""

    name, device = "onnx", "cpu"

    def __init__(self, path: Path):
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingError(
                "onnxruntime", "is not installed", "install vitrail-pose-estimate[fast]"
            ) from error
        with plain(path, "is no ONNX model", "export the detector again"):
            self.session = onnxruntime.InferenceSession(
                str(path), providers=["CPUExecutionProvider"]
            )
        (self.input,) = self.session.get_inputs()[:1]
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
        arrays = [out[0] if out.ndim and out.shape[0] == 1 else out for out in arrays]
        boxes = next((out for out in arrays if out.ndim == 2 and out.shape[1] == 4), None)
        flat = [out for out in arrays if out.ndim == 1]
        scores = next((out for out in flat if out.dtype.kind == "f"), None)
        labels = next((out for out in flat if out.dtype.kind in "iu"), None)
        if boxes is None or scores is None:
            problem = "gives no boxes (n, 4) with scores (n,)"
            raise InputError(self.path, problem, "export it with its suppression inside")
        people = np.ones(len(scores), bool) if labels is None else labels == 0
        corners = boxes[people].astype(np.float64).reshape(-1, 2, 2) * scale
        return _corner_rows(corners.reshape(-1, 4), scores[people])


def is_other(spec: str) -> bool:
    """Whether a detector is one of others: an ONNX file, torchvision's, or a folder."""
    return spec.startswith(TORCHVISION) or spec.lower().endswith(".onnx") or Path(spec).is_dir()


def load_other(spec: str, min_score: float, device: str) -> OtherFinder:
    """A folder that transformers loads, ``torchvision:NAME=FILE``, or an ONNX file."""
    if spec.startswith(TORCHVISION):
        name, equals, path = spec.removeprefix(TORCHVISION).partition("=")
        if not equals:
            raise UsageError(spec, "lacks its weights", "write torchvision:NAME=FILE")
        return OtherFinder(Torchvision(name, Path(path), device), min_score)
    if spec.lower().endswith(".onnx"):
        return OtherFinder(OnnxDetector(Path(spec)), min_score)
    return OtherFinder(Transformers(Path(spec), device), min_score)


def _rows(found: Mapping[str, Any], person: int) -> np.ndarray:
    """People of a mapping with tensors ``boxes`` (corners), ``scores`` and ``labels``."""
    boxes, scores, labels = (found[key].cpu().numpy() for key in ("boxes", "scores", "labels"))
    people = labels == person
    return _corner_rows(boxes[people], scores[people])


def _corner_rows(corners: np.ndarray, scores: np.ndarray) -> np.ndarray:
    low, high = corners[:, :2].astype(np.float64), corners[:, 2:].astype(np.float64)
    return np.concatenate((low, high - low, scores[:, None].astype(np.float64)), axis=1)


def _best_first(rows: np.ndarray) -> np.ndarray:
    return rows[np.argsort(-rows[:, 4], kind="stable")]


def _device(device: str) -> str:
    from vitrail.engine import choose_device

    return choose_device(device)


def _folder_sha256(folder: Path) -> str:
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    if not files:
        raise InputError(folder, "holds no weights", "give a downloaded folder")
    return sha256(files[0])
