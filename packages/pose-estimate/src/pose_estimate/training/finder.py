"""How the finder of people is trained: on scenes put together from pictures with boxed people."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pose_estimate import system
from pose_estimate.data import Labelled, Yolo, part_of, read_boxes, read_people
from pose_estimate.networks import DETECTOR, Search
from pose_estimate.people.finder import MAX_OVERLAP
from pose_estimate.training.recipe import Recipe
from pose_estimate.training.samples import read_kept
from pose_estimate.training.trunk import TrunkTask
from vitrail.detection.loss import detection_losses
from vitrail.detection.matching import Matches, match, merge
from vitrail.detection.model import CENTRE, SPREAD, Config, PointDetector, grid
from vitrail.detection.search import GREY, likely_rows, padded, shrink
from vitrail.faces.training.augment import degrade
from vitrail.sources import image_files
from vitrail.training.loading import Numbers, loader

SIDE = 256  # pixels of a scene
ZOOM = 2.0  # how much larger than just filling its part of a scene a picture comes at most
EMPTY = 0.2  # share of the parts that come from pictures without people, where there are any
VAL_SIDE = 384  # of a whole picture while training: validations are frequent
LONG_SIDES = (384, 512, 640)  # of which the one is kept that finds people best in the end
MIN_PERSON = 40  # pixels of the longer side of people that the finder is measured on
MIN_SIZE = 14.0  # pixels of the longer side below which a person is unsure
DEGRADED = 0.5  # share of the scenes that cameras spoil
CLEAR, GONE = 0.45, 0.2  # share of a box that is still seen: a person; nobody
LOSS_WEIGHTS = {"score": 1.0, "box": 2.0}
NOTHING = np.zeros((0, 4), np.float32)


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture's file with ``boxes`` (n, 4) of people and ``unsure`` (m, 4) regions, as
    corners."""

    image: Path
    boxes: np.ndarray
    unsure: np.ndarray


@dataclass(frozen=True)
class FoundBox:
    """As ``vitrail.detection.matching`` takes it."""

    box: tuple[float, float, float, float]
    score: float
    landmarks: np.ndarray


class Scenes(Dataset):
    """Batch ``number`` is a dict: ``images`` uint8 (B, 3, S, S), and ``labels``, for each image its
    ``boxes`` (n, 4) and ``unsure`` (m, 4) in pixels."""

    def __init__(self, scenes: Sequence[Scene], batch_size: int, seed: int):
        with_people = [one for one in scenes if len(one.boxes)]
        empty = [one for one in scenes if not len(one.boxes)]
        self.scenes, self.batch_size, self.seed = (with_people, empty), batch_size, seed

    def __getitem__(self, number: int) -> dict[str, Any]:
        rng = np.random.default_rng((self.seed, number))
        made = [compose(self.scenes, rng) for _ in range(self.batch_size)]
        images = np.stack(
            [degrade(image, rng) if rng.random() < DEGRADED else image for image, _, _ in made]
        )
        labels = [{"boxes": torch.from_numpy(boxes), "unsure": torch.from_numpy(unsure)}
                  for _, boxes, unsure in made]  # fmt: skip
        return {"images": torch.from_numpy(images).movedim(-1, 1), "labels": labels}


class WholePictures(Dataset):
    """Each picture as the job searches it: ``image`` uint8 (3, H, W) and its labels."""

    def __init__(self, scenes: Sequence[Scene], long_side: int = VAL_SIDE):
        self.scenes, self.long_side = scenes, long_side

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, number: int) -> dict[str, Any]:
        scene = self.scenes[number]
        image = read_kept(scene.image)
        small = shrink(image, self.long_side)
        scale = np.tile(np.array(small.shape[1::-1]) / np.array(image.shape[1::-1]), 2)
        return {
            "image": padded(small),
            "boxes": scene.boxes * scale,
            "unsure": scene.unsure * scale,
        }


class FinderTask(TrunkTask):
    """Trains the core's detector on people; ``val/ap`` is the average precision at IoU 0.5 on whole
    pictures that are not trained on."""

    recipe: Recipe

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        options: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in recipe.model.config.items()
        }
        self.config = Config(**options)
        self.network = PointDetector(self.config)
        trunk = getattr(self.network.backbone, "trunk", None)
        self.begin(trunk, (CENTRE,) * 3, (SPREAD,) * 3)
        self.matches: list[Matches] = []

    @cached_property
    def scenes(self) -> tuple[list[Scene], list[Scene]]:
        """What is trained on, and what validates."""
        data = self.recipe.data
        people = [one for source in data.labelled for one in read_people(source, unlabelled=True)]
        if data.teacher:
            from pose_estimate.training.teacher import teach

            people += teach(data.teacher)
        scenes = scenes_of(people)
        empty = [path for folder in data.empty for path in image_files(folder)]
        empty += [path for source in data.labelled if isinstance(source, Yolo)
                  for path, boxes in read_boxes(source) if not len(boxes)]  # fmt: skip
        scenes += [Scene(path, NOTHING, NOTHING) for path in empty]
        val = [one for one in scenes if part_of(one.image.name, data.val_share)]
        return [one for one in scenes if not part_of(one.image.name, data.val_share)], val

    def train_dataloader(self) -> DataLoader:
        batches = Scenes(self.scenes[0], self.recipe.optim.batch_size, self.recipe.seed)
        sampler = Numbers(self.recipe.epoch)
        return loader(batches, None, workers=self.recipe.workers, sampler=sampler)

    def val_dataloader(self) -> DataLoader:
        whole = WholePictures(self.scenes[1])
        return loader(whole, None, sampler=range(len(whole)))

    def training_step(self, batch: dict, number: int) -> Tensor:
        images = batch["images"]
        points, strides = grid(images.shape[-2:], images.device)
        rows = self.network(images.float())
        losses = detection_losses(rows, points, strides, batch["labels"])
        self.log_dict({f"train/{name}": part.detach() for name, part in losses.items()})
        loss = torch.stack([LOSS_WEIGHTS[name] * part for name, part in losses.items()]).sum()
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def validation_step(self, batch: dict, number: int) -> None:
        self.matches.append(self._match(batch))

    def _match(self, picture: dict) -> Matches:
        image = torch.as_tensor(picture["image"])[None].to(self.device)
        rows = self.kept_network(image.float())[0].float().cpu().numpy()
        known = [torch.as_tensor(picture[name]).cpu().numpy() for name in ("boxes", "unsure")]
        return match_rows(rows, *known)

    def on_validation_epoch_end(self) -> None:
        matches = merge(self.matches)
        self.matches.clear()
        self.log("val/ap", matches.average_precision(), prog_bar=True)
        self.log("val/recall", matches.recall(0.3))
        self.log("val/precision", matches.precision(0.3))

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return self.kept_network.state_dict(), {
            "system": system.name,
            "architecture": DETECTOR,
            "config": asdict(self.config),
            "search": asdict(self.best_search()),
        }

    @torch.no_grad()
    def best_search(self) -> Search:
        """On the pictures that validate: the size at which the average precision is largest, and
        there the score with the largest F1."""
        self.eval()
        scenes = [large_alone(scene) for scene in self.scenes[1]]
        found = {}
        for side in LONG_SIDES:
            pictures = WholePictures(scenes, side)
            found[side] = merge(self._match(pictures[n]) for n in range(len(pictures)))
        side = max(found, key=lambda one: found[one].average_precision())
        return Search(side, best_score(found[side]))


def match_rows(rows: np.ndarray, boxes: np.ndarray, unsure: np.ndarray) -> Matches:
    """The network's rows (N, 5) for one image, held against its people."""
    found = [
        FoundBox(tuple(row[1:5].tolist()), float(row[0]), np.zeros((0, 2)))
        for row in likely_rows(rows, 0.05, MAX_OVERLAP)
    ]
    return match(found, np.asarray(boxes), np.zeros((len(boxes), 0, 2)), np.asarray(unsure))


def best_score(matches: Matches) -> float:
    """The lowest score of those told when F1 is largest; that of ``Search`` where nobody is
    found."""
    if not matches.hits.any():
        return Search().min_score
    order = np.argsort(-matches.scores, kind="stable")
    f1 = 2 * np.cumsum(matches.hits[order]) / (np.arange(1, len(order) + 1) + matches.known)
    return round(float(matches.scores[order][f1.argmax()]), 3)


def large_alone(scene: Scene) -> Scene:
    """People below ``MIN_PERSON`` are unsure."""
    small = (scene.boxes[:, 2:] - scene.boxes[:, :2]).max(axis=1, initial=0) < MIN_PERSON
    unsure = np.concatenate((scene.unsure, scene.boxes[small]))
    return Scene(scene.image, scene.boxes[~small], unsure)


def scenes_of(people: Sequence[Labelled]) -> list[Scene]:
    """The pictures with their people; crowds are unsure."""
    by_image: dict[Path, list[Labelled]] = {}
    for one in people:
        by_image.setdefault(one.image, []).append(one)
    return [
        Scene(
            image,
            _corners([one.box for one in own if not one.crowd]),
            _corners([one.box for one in own if one.crowd]),
        )
        for image, own in by_image.items()
    ]


def compose(
    scenes: tuple[Sequence[Scene], Sequence[Scene]], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A scene uint8 (S, S, 3) with boxes and unsure boxes float32: parts of one picture or four, at
    any size, mirrored or not. ``scenes`` are the pictures with people and those without."""
    canvas = np.full((SIDE, SIDE, 3), GREY, np.uint8)
    split = rng.integers(SIDE // 3, 2 * SIDE // 3, 2) if rng.random() < 0.5 else (SIDE, SIDE)
    boxes, unsure = [NOTHING], [NOTHING]
    for x0, x1 in _spans(int(split[0])):
        for y0, y1 in _spans(int(split[1])):
            part, clear, doubtful = _part(_drawn(scenes, rng), (y1 - y0, x1 - x0), rng)
            canvas[y0:y1, x0:x1] = part
            offset = np.array([x0, y0, x0, y0], np.float32)
            boxes.append(clear + offset)
            unsure.append(doubtful + offset)
    return canvas, np.concatenate(boxes), np.concatenate(unsure)


def _drawn(scenes: tuple[Sequence[Scene], Sequence[Scene]], rng: np.random.Generator) -> Scene:
    own = scenes[int(bool(scenes[1]) and (not scenes[0] or rng.random() < EMPTY))]
    return own[int(rng.integers(len(own)))]


def _part(
    scene: Scene, size: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A part of a picture, filling ``size`` (height, width), with its labels."""
    image = read_kept(scene.image)
    target, full = np.array(size[::-1], float), np.array(image.shape[1::-1], float)
    scale = float((target / full).max() * ZOOM ** rng.random())
    offset = -_corner(scene, full * scale, target, scale, rng)
    linear = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = image
    if scale < 0.7:
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=flags)
        linear = np.array([[1, 0, offset[0]], [0, 1, offset[1]]])
    part = cv2.warpAffine(small, linear, size[::-1], borderMode=cv2.BORDER_REFLECT_101)
    move = np.tile(offset, 2)
    clear, doubtful = _seen(scene.boxes * scale + move, target), scene.unsure * scale + move
    boxes, unsure = clear[0], np.concatenate((clear[1], _clipped(doubtful, target)))
    if rng.random() < 0.5:
        part = part[:, ::-1]
        boxes, unsure = (_mirrored(one, size[1]) for one in (boxes, unsure))
    return part, boxes.astype(np.float32), unsure.astype(np.float32)


def _corner(
    scene: Scene, full: np.ndarray, target: np.ndarray, scale: float, rng: np.random.Generator
) -> np.ndarray:
    """Where the part of a picture of size ``full`` (after scaling) begins: around one of its
    people, if there are any."""
    room = full - target
    if not len(scene.boxes):
        return rng.random(2) * room
    box = scene.boxes[int(rng.integers(len(scene.boxes)))]
    middle = (box[:2] + box[2:]) / 2 * scale
    return (middle - target * rng.uniform(0.25, 0.75, 2)).clip(0, room)


def _seen(boxes: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes cut to a window, those clearly seen and those hardly."""
    cut = np.concatenate((boxes[:, :2].clip(0, size), boxes[:, 2:].clip(0, size)), axis=1)
    area = (cut[:, 2:] - cut[:, :2]).prod(axis=1)
    share = area / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-6)
    large = (cut[:, 2:] - cut[:, :2]).max(axis=1, initial=0) >= MIN_SIZE
    return cut[(share >= CLEAR) & large], cut[(share > GONE) & ~((share >= CLEAR) & large)]


def _clipped(boxes: np.ndarray, size: np.ndarray) -> np.ndarray:
    low, high = boxes[:, :2].clip(0, size), boxes[:, 2:].clip(0, size)
    inside = (high > low).all(axis=1)
    return np.concatenate((low, high), axis=1)[inside] if len(boxes) else boxes


def _mirrored(boxes: np.ndarray, width: int) -> np.ndarray:
    return np.stack((width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]), axis=1)


def _corners(boxes: Sequence[np.ndarray]) -> np.ndarray:
    stacked = np.array(boxes, np.float32).reshape(-1, 4)
    return np.concatenate((stacked[:, :2], stacked[:, :2] + stacked[:, 2:]), axis=1)


def _spans(split: int) -> list[tuple[int, int]]:
    return [(0, SIDE)] if split >= SIDE else [(0, split), (split, SIDE)]
