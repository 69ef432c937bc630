"""A pulse recording as it came in: time stamps and one or several channels, nothing filtered yet."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitrine.errors import InputError

MAX_CHANNELS = 256


@dataclass(frozen=True)
class Recording:
    """``seconds`` (n,) never go back; ``values`` (n, channels) float64 hold NaN where a sample is missing.

    ``rate_hint`` is the rate in Hz that the source states, None where its own time stamps decide; ``origin`` names the
    kind of source: sensor or camera.
    """

    seconds: NDArray[np.float64]
    values: NDArray[np.float64]
    rate_hint: float | None
    origin: str
