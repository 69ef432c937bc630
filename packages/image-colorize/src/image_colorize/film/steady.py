"""Chroma that does not flicker: each frame's own, mixed with that of the frames before, carried
along the motion."""

import numpy as np

from image_colorize.film.flow import Motion, warped

OWN = 0.2  # the share of a frame's own chroma, where the motion tells what was there before


class Steady:
    """Takes the frames of a film in their order. ``flicker`` is the mean distance in a and b from
    what the motion brings of the frame before, ``flicker_alone`` that of the frames coloured each
    by itself; None before two frames of one shot."""

    def __init__(self) -> None:
        self._made: np.ndarray | None = None
        self._own: np.ndarray | None = None
        self._sums, self._pairs = np.zeros(2), 0
        self.cuts = 0

    def __call__(self, chroma: np.ndarray, motion: Motion | None) -> np.ndarray:
        """The chroma (S, S, 2) of a frame, steadied; ``motion`` is that from the frame before, None
        on the first."""
        made = chroma
        if motion is not None and motion.cut:
            self.cuts += 1
        elif motion is not None and self._made is not None and self._own is not None:
            before, before_alone = warped(self._made, motion), warped(self._own, motion)
            trust = _at(motion.agreed, chroma.shape[0])[..., None] * np.float32(1 - OWN)
            made = chroma * (1 - trust) + before * trust
            pairs = ((made, before), (chroma, before_alone))
            self._sums += [
                np.hypot(*np.moveaxis(one - other, -1, 0)).mean() for one, other in pairs
            ]
            self._pairs += 1
        self._made, self._own = made, chroma
        return made

    @property
    def flicker(self) -> float | None:
        return float(self._sums[0] / self._pairs) if self._pairs else None

    @property
    def flicker_alone(self) -> float | None:
        return float(self._sums[1] / self._pairs) if self._pairs else None


def _at(agreed: np.ndarray, side: int) -> np.ndarray:
    """bool (h, w) as float32 (side, side)."""
    rows, columns = (np.arange(side) * length // side for length in agreed.shape)
    return agreed[np.ix_(rows, columns)].astype(np.float32)
