"""What moved where between two frames, by dense optical flow; and where a film is cut."""

from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 192  # pixels of the longer side, at which motion is looked for
AGREE = 1.5  # pixels of these: there and back again must end this near to where it began
# Half of the share of places that agree and the correlation of the lightness after the motion; of
# neighbouring frames of the DAVIS films it is 0.93 and more, between two films at most 0.35.
CUT = 0.55
FLAT = 2.0  # 8-bit levels: two frames that vary less are alike


@dataclass(frozen=True)
class Motion:
    """Between a frame and the next one, in pixels (x, y) of the small frames: ``forth`` (h, w, 2)
    is where each place of the earlier one went, ``back`` whence each place of the later one came.
    ``agreed`` bool (h, w): in which places of the later one the two agree. Across a ``cut`` nothing
    is the same."""

    forth: np.ndarray
    back: np.ndarray
    agreed: np.ndarray
    cut: bool


def small(image: np.ndarray) -> np.ndarray:
    """The lightness of a frame (H, W, 3) uint8 as motion is looked for in it: (h, w) uint8."""
    height, width = image.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = max(16, round(width * scale)), max(16, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.cvtColor(cv2.resize(image, size, interpolation=how), cv2.COLOR_RGB2GRAY)


class Flow:
    """Motion by dense inverse search (Kroeger et al., "Fast Optical Flow using Dense Inverse
    Search", 2016)."""

    def __init__(self) -> None:
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def between(self, earlier: np.ndarray, later: np.ndarray) -> Motion:
        """From two small frames (h, w)."""
        forth = self._search.calc(earlier, later, None)  # pyright: ignore[reportArgumentType, reportCallIssue]
        back = self._search.calc(later, earlier, None)  # pyright: ignore[reportArgumentType, reportCallIssue]
        places = _grid(*later.shape)
        landed = places + back
        agreed = np.hypot(*np.moveaxis(back + sampled(forth, landed), -1, 0)) <= AGREE
        moved = sampled(earlier[..., None].astype(np.float32), landed)[..., 0]
        cut = (agreed.mean() + _alike(moved, later)) / 2 < CUT
        return Motion(forth, back, agreed, bool(cut))


def sampled(field: np.ndarray, places: np.ndarray) -> np.ndarray:
    """A field (h, w, C) at places (..., 2), x and y in pixels from the first one's centre."""
    flat = places.reshape(1, -1, 2).astype(np.float32)
    return _taken(field, flat).reshape(*places.shape[:-1], -1)


def carried(
    points: np.ndarray, there: np.ndarray, again: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where points (N, 2), x and y in 0..1, go along ``there``; and bool (N,): which of them are
    still in sight, and come back by ``again`` to where they were."""
    size = np.array(there.shape[1::-1], np.float32)
    start = points.astype(np.float32) * size - 0.5
    landed = start + sampled(there, start)
    missed = np.hypot(*(landed + sampled(again, landed) - start).T)
    moved = (landed + 0.5) / size
    return moved, (missed <= AGREE) & ((moved >= 0) & (moved <= 1)).all(1)


def warped(plane: np.ndarray, motion: Motion) -> np.ndarray:
    """Chroma (S, S, 2) of the earlier frame where its things are in the later one."""
    side = plane.shape[0]
    height, width = motion.back.shape[:2]
    back = cv2.resize(motion.back, (side, side), interpolation=cv2.INTER_LINEAR)
    back = back * np.array([side / width, side / height], np.float32)
    return _taken(plane, _grid(side, side) + back)


def _taken(field: np.ndarray, places: np.ndarray) -> np.ndarray:
    """A field (h, w, C) at places (H, W, 2): bilinear, the border is repeated."""
    x, y = (np.ascontiguousarray(places[..., axis]) for axis in (0, 1))
    return cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _alike(one: np.ndarray, other: np.ndarray) -> float:
    """The correlation of two frames; 1 where there is nothing in either."""
    spread = one.std(), other.std()
    if min(spread) < FLAT:
        return float(max(spread) < FLAT)
    return float(((one - one.mean()) * (other - other.mean())).mean() / (spread[0] * spread[1]))


def _grid(height: int, width: int) -> np.ndarray:
    """The place (x, y) of each pixel: float32 (height, width, 2)."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([x, y], axis=-1)
