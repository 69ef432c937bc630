"""How much a quiet sound is raised before the network, which learned from recordings that people
had made loud enough to share."""

import numpy as np

STRETCH_SECONDS = 0.1
# In dB below full scale. Chosen on the clips that `sounds` was trained on: their loudest stretches
# lie at -14, those of one in twenty below -30
TARGET_DB = -20.0
RANGE_DB = 20.0  # what lies further below the loudest of late is raised no more than that
FORGOTTEN = 1.0  # dB in each second, by which the loudest of late falls
FLOOR = 1e-20


class Level:
    """The gain of each window in turn: its loudest stretch comes to -20 dB, and none is made
    quieter. What follows a loud sound is raised less, as a pause is no sound of its own."""

    def __init__(self, rate: int, hop_seconds: float):
        self._stretch, self._fall = round(STRETCH_SECONDS * rate), FORGOTTEN * hop_seconds
        self._recent = -np.inf

    def gain(self, samples: np.ndarray) -> float:
        """In dB, at least 0; ``samples`` (n,) are the next window."""
        loudest = loudest_stretch(samples, self._stretch)
        self._recent = max(loudest, self._recent - self._fall)
        return max(0.0, TARGET_DB - max(loudest, self._recent - RANGE_DB))


def loudest_stretch(samples: np.ndarray, length: int) -> float:
    """The loudness in dB below full scale of the loudest of the whole stretches of ``length``, or
    of all of a shorter sound."""
    length = max(1, min(length, len(samples)))
    count = len(samples) // length
    stretches = samples[: count * length].astype(np.float64).reshape(count, length)
    return 10 * float(np.log10(stretches.var(axis=1).max() + FLOOR))
