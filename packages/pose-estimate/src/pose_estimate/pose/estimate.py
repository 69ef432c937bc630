"""The joints of people whose boxes are known: crops out, a network asked, joints back in the
image."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from pose_estimate.networks import POSE, PoseNetwork
from pose_estimate.pose.crop import Frame, crop_matrix, cut, frame_of, inverse, moved
from pose_estimate.pose.decode import decode, flip_back
from pose_estimate.pose.select import joint_ranks, skeleton_ranks
from vitrail.job import Ask, Item

MAX_TOGETHER = 256  # crops that are in memory at once


@dataclass(frozen=True, eq=False)
class Found:
    """``joints`` (K, 3): x, y in the image and the calibrated score. ``kept`` (n, 4, 2): the
    corners of each patch that was looked at to the end, None where that was all."""

    joints: np.ndarray
    kept: np.ndarray | None


class Estimator:
    """Asks a pose network; with ``flip`` each crop twice, the second time mirrored."""

    def __init__(self, network: PoseNetwork, *, flip: bool = False):
        self.network, self.flip = network, flip
        self.pairs = network.skeleton.pairs

    def estimate(
        self, images: Sequence[np.ndarray], boxes: np.ndarray, before: Sequence[Found | None]
    ) -> Generator[Ask, list, list[Found]]:
        """The joints in each of ``boxes`` (n, 5) of its image, uint8 RGB (H, W, 3); ``before`` is
        what is known of the same person from an earlier frame."""
        found: list[Found] = []
        for start in range(0, len(boxes), MAX_TOGETHER):
            part = slice(start, start + MAX_TOGETHER)
            found += yield from self._estimate(images[part], boxes[part], before[part])
        return found

    def _estimate(
        self, images: Sequence[np.ndarray], boxes: np.ndarray, before: Sequence[Found | None]
    ) -> Generator[Ask, list, list[Found]]:
        shape = self.network.shape
        frames = [frame_of(box[:4], shape) for box in boxes]
        crops = [
            cut(image, crop_matrix(frame, shape), shape).transpose(2, 0, 1)
            for image, frame in zip(images, frames, strict=True)
        ]
        ranks = [self._ranks(frame, one) for frame, one in zip(frames, before, strict=True)]
        items = [self._item(crop, rank) for crop, rank in zip(crops, ranks, strict=True)]
        if self.flip:
            items += [
                self._item(crop[:, :, ::-1], None if rank is None else self._mirrored(rank))
                for crop, rank in zip(crops, ranks, strict=True)
            ]
        rows = yield Ask(POSE, items)
        if not rows:
            return []
        answers, kept = (np.stack([row[n] for row in rows]) for n in range(2))
        joints = self._joints(answers, frames)
        corners = self._corners(kept[: len(frames)].astype(int), frames)
        return [Found(one, shown) for one, shown in zip(joints, corners, strict=True)]

    def _item(self, crop: np.ndarray, rank: np.ndarray | None) -> Item:
        crop = np.ascontiguousarray(crop)
        return crop if rank is None else (crop, rank)

    def _joints(self, answers: np.ndarray, frames: Sequence[Frame]) -> np.ndarray:
        """(n, K, 3), the scores calibrated; of answers (n or 2 n, ...), the mirrored ones last."""
        count = len(frames)
        if self.network.head == "regression":
            places = answers[:count]
            if self.flip:
                places = (places + self._places_back(answers[count:])) / 2
            joints = self._placed(places, frames)
        else:
            maps = answers[:count]
            if self.flip:
                maps = (maps + flip_back(answers[count:], self.pairs)) / 2
            joints = decode(maps, frames)
        joints[..., 2] = self.network.calibration(joints[..., 2])
        return joints

    def _places_back(self, places: np.ndarray) -> np.ndarray:
        order = np.arange(places.shape[1])
        for left, right in self.pairs:
            order[[left, right]] = right, left
        back = places[:, order].copy()
        back[..., 0] = 1 - back[..., 0]
        return back

    def _placed(self, places: np.ndarray, frames: Sequence[Frame]) -> np.ndarray:
        """Places in 0..1 of the crop to the image; the score is 1 where the spread is nothing."""
        sides = np.array(self.network.shape.size[::-1])
        pixels = places[..., :2].astype(np.float64) * sides - 0.5
        back = [inverse(crop_matrix(frame, self.network.shape)) for frame in frames]
        points = [moved(one, matrix) for one, matrix in zip(pixels, back, strict=True)]
        scores = np.exp(-np.exp(places[..., 2:].astype(np.float64).clip(-20, 20)))
        return np.concatenate((np.array(points).reshape(*places.shape[:2], 2), scores), axis=-1)

    def _ranks(self, frame: Frame, before: Found | None) -> np.ndarray | None:
        """Of the crop's patches, by what is known of the joints; of nothing all are alike, and the
        middle of the crop stays."""
        network = self.network
        if not network.ranked_outside:
            return None
        if before is None:
            return _middle_first(network.grid)
        joints = moved(before.joints[:, :2], crop_matrix(frame, network.shape))
        if network.select == "joints":
            return joint_ranks(joints, network.shape.size, network.grid)
        return skeleton_ranks(joints, network.skeleton.edges, network.shape.size, network.grid)

    def _mirrored(self, rank: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(rank.reshape(self.network.grid)[:, ::-1]).ravel()

    def _corners(self, kept: np.ndarray, frames: Sequence[Frame]) -> list[np.ndarray] | list[None]:
        """The corners in the image of the patches (n, k), clockwise from the upper left."""
        if self.network.keep >= 1:
            return [None] * len(frames)
        rows, columns = self.network.grid
        height, width = self.network.shape.size
        steps = np.array([width / columns, height / rows])
        unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
        cells = np.stack((kept % columns, kept // columns), axis=-1)[:, :, None] + unit
        back = [inverse(crop_matrix(frame, self.network.shape)) for frame in frames]
        pixels = cells * steps - 0.5
        return [moved(one, matrix) for one, matrix in zip(pixels, back, strict=True)]


def _middle_first(grid: tuple[int, int]) -> np.ndarray:
    rows, columns = np.mgrid[: grid[0], : grid[1]]
    off = np.hypot(rows - (grid[0] - 1) / 2, columns - (grid[1] - 1) / 2)
    return -off.astype(np.float32).ravel()
