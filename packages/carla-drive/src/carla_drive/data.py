"""Recordings to samples: those that ``record`` made, and real ones in the layout of TransFuser
2022."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from carla_drive.driving.recording import INDEX
from carla_drive.official import WIDTH, centre_crop, to_local
from carla_drive.world import labels
from carla_drive.world.depth import DepthOrder, decode_depth, depth_order
from vitrail.errors import InputError
from vitrail.preprocess.image import read_image

FUTURE = 3  # frames whose places are the waypoints, half a second apart
LIT = (23, 24)  # labels of lit lights, which the release threw away


@dataclass(frozen=True)
class Frame:
    """One moment of a drive: ``folder`` of the drive, ``name`` of its files."""

    folder: Path
    name: str
    town: str

    def file(self, kind: str, suffix: str) -> Path:
        return self.folder / kind / f"{self.name}.{suffix}"


@dataclass(frozen=True)
class Recording:
    frames: tuple[Frame, ...]
    depth_order: DepthOrder


def read_recording(root: Path) -> Recording:
    """From its index, or by looking for drives below ``root`` where there is none. Raises
    InputError where nothing is found."""
    index = root / INDEX
    if index.is_file():
        try:
            content = json.loads(index.read_text(encoding="utf-8"))
            order = content["depth_order"]
            frames = tuple(
                Frame(_inside(root, row["frame"]), row["name"], row["town"])
                for row in content["frames"]
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                index, f"is no index ({error})", "record again, or delete it"
            ) from error
        if order not in ("carla", "swapped"):
            raise InputError(index, f"names the depth order {order!r}", "say carla or swapped")
        return Recording(frames, order)
    folders = sorted({path.parent.parent for path in root.glob("**/measurements/*.json")})
    frames = tuple(
        Frame(folder, path.stem, _town(folder))
        for folder in folders
        for path in sorted((folder / "measurements").glob("*.json"))
    )
    if not frames:
        raise InputError(root, "holds no drive", "name a folder that 'carla-drive record' made")
    return Recording(frames, depth_order(read_image(frames[0].file("depth", "png"))))


def _inside(root: Path, name: str) -> Path:
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ValueError(f"{name} leads out of the recording")
    return path


def _town(folder: Path) -> str:
    for part in reversed(folder.parts):
        for piece in part.split("_"):
            if piece.startswith("Town"):
                return piece
    return folder.parent.name


def split(
    frames: Sequence[Frame], val_share: float, left_out: Sequence[str]
) -> tuple[list[Frame], list[Frame]]:
    """Whole drives to train and to validate on; towns of ``left_out`` are in neither."""
    drives = sorted({frame.folder for frame in frames if frame.town not in left_out})
    rng = np.random.default_rng(0)
    count = max(1, round(val_share * len(drives)))
    kept_out = {drives[i] for i in rng.permutation(len(drives))[:count]}
    usable = [frame for frame in frames if frame.town not in left_out]
    train = [frame for frame in usable if frame.folder not in kept_out]
    val = [frame for frame in usable if frame.folder in kept_out]
    if not train or not val:
        raise InputError("recording", "has too few drives to keep some out", "record more of them")
    return train, val


def read_measurements(path: Path) -> dict[str, Any]:
    """Raises InputError for numbers that are none."""
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        for name in ("x", "y", "theta", "speed", "x_command", "y_command", "steer", "throttle"):
            value = row[name][0] if isinstance(row[name], list) else row[name]
            row[name] = float(value)
            if not math.isfinite(row[name]) and name != "theta":
                raise ValueError(f"{name} is {row[name]}")
        row["brake"] = bool(row["brake"][0] if isinstance(row["brake"], list) else row["brake"])
        row["command"] = int(row["command"])
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise InputError(path, f"is no measurement ({error})", "record this drive again") from error
    if not math.isfinite(row["theta"]):
        row["theta"] = 0.0  # CARLA's compass has no value now and then
    return row


class Frames(Dataset):
    """Samples as tensors; ``augment`` changes colours, and hides the target now and then."""

    def __init__(
        self,
        frames: Sequence[Frame],
        order: DepthOrder,
        *,
        augment: bool = False,
        hide_target: float = 0.0,
    ):
        self.frames = list(frames)
        self.order: DepthOrder = order
        self.augment, self.hide_target = augment, hide_target

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        return self.pictures(number) | self.numbers(number)

    def pictures(self, number: int) -> dict[str, Tensor]:
        """``rgb`` (3, 160, 768) uint8, ``depth`` (160, 768), ``semantics`` (160, 768)."""
        rgb, depth, semantics = read_pictures(self.frames[number], self.order)
        if self.augment:
            rgb = changed_colours(rgb)
        return {
            "rgb": torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))),
            "depth": torch.from_numpy(depth),
            "semantics": torch.from_numpy(semantics.astype(np.int64)),
        }

    def numbers(self, number: int) -> dict[str, Tensor]:
        """What is told, and what is to be learned, as float32."""
        frame = self.frames[number]
        row = read_measurements(frame.file("measurements", "json"))
        place = np.array([row["x"], row["y"]])
        target = to_local(np.array([row["x_command"], row["y_command"]]), place, row["theta"])
        waypoints, path, known = plan(frame, row)
        if self.augment and float(torch.rand(())) < self.hide_target:
            target = np.array([0.0, -20.0])
        command = np.zeros(6, np.float32)
        command[row["command"] - 1 if 1 <= row["command"] <= 6 else 3] = 1
        numbers = {
            "target": target,
            "velocity": row["speed"],
            "command": command,
            "waypoints": waypoints,
            "path": path,
            "planned": float(known),
            "control": [(row["steer"] + 1) / 2, row["throttle"] / 0.75, float(row["brake"])],
            "red_light": float(bool(row.get("light_hazard"))),
            "stop_sign": float(bool(row.get("stop_sign_hazard"))),
            "target_speed": float(row.get("target_speed", row["speed"])),
        }
        return {
            key: torch.tensor(np.asarray(value), dtype=torch.float32)
            for key, value in numbers.items()
        }


def read_pictures(frame: Frame, order: DepthOrder) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """RGB (160, 768, 3), depth (160, 768) in 0..1, labels (160, 768) of the 23 classes."""
    found = []
    for kind in ("rgb", "depth", "semantics"):
        path = frame.file(kind, "png")
        picture = read_image(path)
        if picture.shape[:2] != (160, WIDTH):
            problem = f"is {picture.shape[1]} x {picture.shape[0]}, not {WIDTH} x 160"
            raise InputError(path, problem, "record this drive again")
        found.append(centre_crop(picture))
    rgb, depth, semantics = found[0], found[1], found[2][..., 0]
    semantics = np.where(np.isin(semantics, LIT), labels.LIGHT, semantics)
    return rgb, decode_depth(depth, order), np.where(semantics < labels.CLASSES, semantics, 0)


def plan(frame: Frame, row: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, bool]:
    """Waypoints (3, 2), path (6, 2), and whether the path is known: the expert's plan where it was
    recorded, else the places of the next frames."""
    if "plan" in row:
        return np.array(row["plan"]["waypoints"]), np.array(row["plan"]["path"]), True
    place, places = np.array([row["x"], row["y"]]), []
    for step in range(1, FUTURE + 1):
        path = frame.folder / "measurements" / f"{int(frame.name) + step:0{len(frame.name)}d}.json"
        if not path.exists():
            places.append(places[-1] if places else np.zeros(2))
            continue
        later = read_measurements(path)
        places.append(to_local(np.array([later["x"], later["y"]]), place, row["theta"]))
    return np.array(places), np.zeros((6, 2)), False


def changed_colours(rgb: np.ndarray) -> np.ndarray:
    """Brightness, contrast, tint, noise and blur by chance: no camera is the one that was trained
    on."""
    draw = torch.rand(8).tolist()
    image = rgb.astype(np.float32)
    image = (image - 128) * (0.65 + 0.7 * draw[0]) + 128 + 70 * (draw[1] - 0.5)
    image *= 0.85 + 0.3 * torch.rand(3).numpy()
    if draw[2] < 0.1:
        grey = image.mean(axis=2, keepdims=True)
        image = grey + (image - grey) * draw[3]
    if draw[4] < 0.4:
        image += torch.randn(image.shape).numpy() * 14 * draw[5]
    if draw[6] < 0.3:
        image = (image + np.roll(image, 1, axis=1) + np.roll(image, 1, axis=0)) / 3
    return np.clip(image, 0, 255).astype(np.uint8)
