"""Tracks held against true ones: MOTA (Bernardin and Stiefelhagen 2008), IDF1 (Ristani et al. 2016)
and HOTA (Luiten et al. 2021), over one film or several."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from video_detect.measure.precision import ious
from vitrail.errors import plain
from vitrail.sources import require_file

MIN_IOU = 0.5  # of MOTA and IDF1
ALPHAS = np.arange(1, 20) * 0.05  # the overlaps that HOTA is the mean over
CLOSE = 1e-9
STAY = 1000.0  # an object's box of the frame before is preferred to any other that is near enough

Boxes = Mapping[int, tuple[np.ndarray, np.ndarray]]  # frame: ids (n,), corners (n, 4)


@dataclass(frozen=True)
class Tally:
    """What adds up over films: boxes that are true and found, those of MOTA and of IDF1 that meet,
    changes of number; for each of ``ALPHAS`` boxes that meet, and how well their tracks do, summed
    over them."""

    true: int
    found: int
    met: int
    switches: int
    same_id: int
    hota_met: np.ndarray
    association: np.ndarray

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, name) + getattr(other, name) for name in vars(self)))

    @property
    def mota(self) -> float:
        wrong = self.true - self.met + self.found - self.met + self.switches
        return 1 - wrong / max(self.true, 1)

    @property
    def idf1(self) -> float:
        return 2 * self.same_id / max(self.true + self.found, 1)

    @property
    def hota(self) -> float:
        detection = self.hota_met / np.maximum(self.true + self.found - self.hota_met, 1)
        return float(np.sqrt(detection * self.association / np.maximum(self.hota_met, 1)).mean())


def tally(truth: Boxes, told: Boxes) -> Tally:
    """One film's; ids may be any integers."""
    true_ids, told_ids = (_numbered(boxes) for boxes in (truth, told))
    frames = [
        (
            np.array([true_ids[one] for one in truth[frame][0]], int) if frame in truth else _NONE,
            np.array([told_ids[one] for one in told[frame][0]], int) if frame in told else _NONE,
            ious(_corners(truth, frame), _corners(told, frame)),
        )
        for frame in sorted({*truth, *told})
    ]
    shape = (len(true_ids), len(told_ids))
    own, others = np.zeros(shape[0]), np.zeros(shape[1])  # boxes of each track
    both, near = np.zeros(shape), np.zeros(shape)
    for rows, columns, overlap in frames:
        own[rows] += 1
        others[columns] += 1
        at = np.ix_(rows, columns)
        both[at] += overlap >= MIN_IOU - CLOSE
        union = overlap.sum(axis=1, keepdims=True) + overlap.sum(axis=0) - overlap
        near[at] += overlap / np.maximum(union, CLOSE)
    met, switches = _met(frames, shape[0])
    alike = near / np.maximum(own[:, None] + others - near, CLOSE)
    hota_met, association = _hota(frames, alike, own, others)
    same = int(both[linear_sum_assignment(-both)].sum())
    counts = int(own.sum()), int(others.sum())
    return Tally(*counts, met, switches, same, hota_met, association)


def read_mot(path: Path) -> Boxes:
    """Boxes of a MOT file by frame; those marked as not to count (confidence 0) are left out.

    Raises InputError for another file.
    """
    with plain(require_file(path), "is no MOT file", "give rows frame,id,left,top,width,height"):
        rows = np.loadtxt(path, delimiter=",", ndmin=2, usecols=range(7))
        kept = rows[rows[:, 6] != 0]
    corners = np.concatenate((kept[:, 2:4], kept[:, 2:4] + kept[:, 4:6]), axis=1)
    frames = kept[:, 0].astype(int)
    return {
        int(frame): (kept[frames == frame, 1].astype(int), corners[frames == frame])
        for frame in np.unique(frames)
    }


_NONE = np.zeros(0, int)


def _met(frames: Iterable[tuple[np.ndarray, ...]], count: int) -> tuple[int, int]:
    """How many true boxes meet one that was told, frame by frame, and how often an object's number
    is another than when it was last met."""
    last, before = np.full(count, -1), np.full(count, -1)
    met = switches = 0
    for rows, columns, overlap in frames:
        score = overlap + STAY * (before[rows, None] == columns)
        score[overlap < MIN_IOU - CLOSE] = 0
        picked = linear_sum_assignment(-score)
        good = score[picked] > 0
        ours, theirs = rows[picked[0][good]], columns[picked[1][good]]
        switches += int(((last[ours] >= 0) & (last[ours] != theirs)).sum())
        met += len(ours)
        before[:] = -1
        last[ours] = before[ours] = theirs
    return met, switches


def _hota(
    frames: Iterable[tuple[np.ndarray, ...]], alike: np.ndarray, own: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    together = np.zeros((len(ALPHAS), *alike.shape))
    for rows, columns, overlap in frames:
        picked = linear_sum_assignment(-alike[np.ix_(rows, columns)] * overlap)
        good = overlap[picked] >= ALPHAS[:, None] - CLOSE  # alphas, pairs
        together[:, rows[picked[0]], columns[picked[1]]] += good
    share = together / np.maximum(own[:, None] + others - together, 1)
    return together.sum(axis=(1, 2)), (together * share).sum(axis=(1, 2))


def _numbered(boxes: Boxes) -> dict[int, int]:
    ids = sorted({int(one) for of_frame, _ in boxes.values() for one in of_frame})
    return {one: number for number, one in enumerate(ids)}


def _corners(boxes: Boxes, frame: int) -> np.ndarray:
    return boxes[frame][1] if frame in boxes else np.zeros((0, 4))
