"""BlazePose (Bazarevsky et al. 2020) as a teacher: its two networks, out of the wheel mediapipe
0.10.14, run by OpenVINO."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pose_estimate.data import Labelled, read_people
from pose_estimate.skeleton import skeleton
from pose_estimate.training.recipe import Teacher
from vitrail.errors import MissingError, plain
from vitrail.output import atomic_file
from vitrail.preprocess.boxes import nms
from vitrail.preprocess.image import read_image
from vitrail.sources import image_files

BLAZEPOSE = skeleton("blazepose")
DETECTOR_SIDE, LANDMARK_SIDE = 224, 256
STRIDES = (8, 16, 32, 32, 32)  # of the detector's maps; two anchors each
MIN_FOUND, MAX_OVERLAP = 0.5, 0.3
GROWTH = 1.25  # of the square around a person
MIN_VISIBLE = 0.5  # visibility times presence
MIN_SIDE = 48  # pixels of the longer side of a box in which it is asked
MARGIN = 0.12  # of a box around joints, of its longer side: heads and feet are larger than joints


@dataclass(frozen=True, eq=False)
class Place:
    """Where the teacher looks: in a whole picture, or in somebody's box (x, y, width, height)."""

    picture: Path
    box: np.ndarray | None = None

    @property
    def name(self) -> str:
        box = "" if self.box is None else f" {self.box.round().astype(int).tolist()}"
        return f"{self.picture.parent.name}/{self.picture.name}{box}"


@dataclass(frozen=True, eq=False)
class Seen:
    """``joints`` (33, 3): x, y in the image and whether the teacher sees it; ``score`` 0..1."""

    joints: np.ndarray
    score: float


class BlazePose:
    """MissingError where a file is not there."""

    def __init__(self, detector: Path, landmarks: Path):
        import openvino

        core = openvino.Core()
        core.set_property("CPU", {"INFERENCE_NUM_THREADS": 1})
        for path in (detector, landmarks):
            if not path.is_file():
                raise MissingError(
                    path, "is not here", "take it out of the wheel mediapipe==0.10.14"
                )
        with plain(
            landmarks, "is no network that OpenVINO opens", "take it out of the wheel again"
        ):
            self.detector = core.compile_model(core.read_model(detector), "CPU")
            self.landmarks = core.compile_model(core.read_model(landmarks), "CPU")
        self.anchors = anchors()

    def people(self, image: np.ndarray) -> list[Seen]:
        """Everybody that the detector finds in uint8 RGB (H, W, 3), with joints."""
        return [self._joints(image, *square) for square in self._squares(image)]

    def in_box(self, image: np.ndarray, box: np.ndarray) -> Seen:
        """The joints of the person in a box (x, y, width, height): the square around it,
        upright."""
        centre = np.asarray(box[:2], float) + np.asarray(box[2:4], float) / 2
        return self._joints(image, centre, float(max(box[2:4])) * GROWTH, 0.0)

    def _squares(self, image: np.ndarray) -> Iterator[tuple[np.ndarray, float, float]]:
        """Centre, side and angle in radians of the square around each person."""
        height, width = image.shape[:2]
        side = max(height, width)
        scale = DETECTOR_SIDE / side
        offset = (np.array([side - width, side - height]) / 2) * scale
        matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
        pixels = cv2.warpAffine(image, matrix, (DETECTOR_SIDE, DETECTOR_SIDE))
        found = self.detector([(pixels[None].astype(np.float32) / 127.5) - 1])
        raw, logits = (np.asarray(found[n])[0] for n in range(2))
        scores = 1 / (1 + np.exp(-logits[:, 0].clip(-80, 80)))
        likely = scores >= MIN_FOUND
        raw, scores, places = raw[likely] / DETECTOR_SIDE, scores[likely], self.anchors[likely]
        centre, half = raw[:, :2] + places, raw[:, 2:4] / 2
        kept = nms(np.concatenate((centre - half, centre + half), axis=1), scores, MAX_OVERLAP)
        for number in kept:
            points = raw[number, 4:8].reshape(2, 2) + places[number]  # the hips, and the reach
            hips, reach = (points * DETECTOR_SIDE - offset) / scale
            away = reach - hips
            angle = np.pi / 2 - np.arctan2(-away[1], away[0])
            yield hips, 2 * float(np.linalg.norm(away)) * GROWTH, float(angle)

    def _joints(self, image: np.ndarray, centre: np.ndarray, side: float, angle: float) -> Seen:
        scale = LANDMARK_SIDE / max(side, 1.0)
        cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
        linear = np.array([[cosine, sine], [-sine, cosine]])
        offset = LANDMARK_SIDE / 2 - linear @ centre
        matrix = np.concatenate((linear, offset[:, None]), axis=1)
        crop = cv2.warpAffine(image, matrix, (LANDMARK_SIDE, LANDMARK_SIDE))
        found = self.landmarks([crop[None].astype(np.float32) / 255])
        points = np.asarray(found[0]).reshape(39, 5)[: len(BLAZEPOSE)].astype(float)
        shares = 1 / (1 + np.exp(-points[:, 3:5].clip(-30, 30)))
        places = (points[:, :2] - offset) @ np.linalg.inv(linear).T
        visible = shares.prod(axis=1) >= MIN_VISIBLE
        joints = np.column_stack((places, visible))
        return Seen(joints, float(np.asarray(found[1]).ravel()[0]))


def anchors() -> np.ndarray:
    """The detector's anchors (2254, 2), x and y in 0..1: maps of one stride lie cell by cell
    together."""
    parts = []
    for stride in dict.fromkeys(STRIDES):
        count = DETECTOR_SIDE // stride
        y, x = np.mgrid[:count, :count]
        cells = np.stack((x, y), axis=-1).reshape(-1, 2)
        parts.append(((cells + 0.5) / count).repeat(2 * STRIDES.count(stride), axis=0))
    return np.concatenate(parts)


def teach(teacher: Teacher) -> list[Labelled]:
    """Everybody that the teacher labels in the recipe's pictures, from the cache where it holds
    just these pictures."""
    places = [Place(path) for folder in teacher.images for path in image_files(folder)]
    places += [Place(one.image, one.box) for source in teacher.boxed
               for one in read_people(source, unlabelled=True) if _unlabelled(one)]  # fmt: skip
    names = np.array([place.name for place in places])
    stored = _read_cache(teacher.cache, names)
    if stored is None:
        stored = _label(teacher, places)
        with atomic_file(teacher.cache) as temporary, temporary.open("wb") as file:
            contents: dict[str, Any] = {"names": names, **stored}
            np.savez_compressed(file, **contents)
    rows = zip(stored["pictures"], stored["joints"], stored["scores"], strict=True)
    return [
        labelled(places[at], joints.astype(float))
        for at, joints, score in rows
        if score >= teacher.min_score and joints[:, 2].sum() >= 6
    ]


def labelled(place: Place, joints: np.ndarray) -> Labelled:
    """A person of the teacher's (33, 3), as one of a data set."""
    joints, box = np.where(joints[:, 2:] > 0, joints, 0), place.box
    if box is None:
        points = joints[joints[:, 2] > 0, :2]
        low, high = points.min(axis=0), points.max(axis=0)
        margin = MARGIN * max(high - low)
        box = np.concatenate((low - margin, high - low + 2 * margin))
    area = float(box[2] * box[3])
    return Labelled(place.picture, place.picture.name, box, joints, area, BLAZEPOSE)


def _unlabelled(one: Labelled) -> bool:
    return not one.crowd and not one.labelled.any() and max(one.box[2:]) >= MIN_SIDE


def _label(teacher: Teacher, places: Sequence[Place]) -> dict[str, np.ndarray]:
    network = BlazePose(teacher.detector, teacher.landmarks)
    rows = []
    for at, place in enumerate(places):
        image = read_image(place.picture)
        found = network.people(image) if place.box is None else [network.in_box(image, place.box)]
        rows += [(at, seen) for seen in found]
    return {
        "pictures": np.array([at for at, _ in rows], np.int64),
        "joints": np.array([seen.joints for _, seen in rows], np.float32).reshape(-1, 33, 3),
        "scores": np.array([seen.score for _, seen in rows], np.float32),
    }


def _read_cache(path: Path, names: np.ndarray) -> dict[str, np.ndarray] | None:
    if not path.is_file():
        return None
    with plain(path, "is no list of the teacher's labels", "remove it"), np.load(path) as stored:
        if not np.array_equal(stored["names"], names):
            return None
        return {key: stored[key] for key in ("pictures", "joints", "scores")}
