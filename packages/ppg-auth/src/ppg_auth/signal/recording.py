"""A pulse recording as it came in: time stamps and one or several channels, nothing filtered
yet."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitrail.errors import InputError

MAX_CHANNELS = 256
MAX_SAMPLES = 20_000_000
RATES = (1.0, 100_000.0)  # Hz; what lies outside is a mistake


@dataclass(frozen=True)
class Recording:
    """``seconds`` (n,) never go back; ``values`` (n, channels) float64 hold NaN where a sample is
    missing.

    ``rate_hint`` is the rate in Hz that the source states, None where its own time stamps decide. A
    camera's stamps are those of the exposure; a sensor's tell when its samples arrived. ``names``
    are the channels', where they have any; ``notes`` are codes of what was noticed on reading.
    """

    seconds: NDArray[np.float64]
    values: NDArray[np.float64]
    rate_hint: float | None
    origin: Literal["sensor", "camera"]
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def checked(
        cls,
        subject: object,
        seconds: NDArray,
        values: NDArray,
        origin: Literal["sensor", "camera"],
        rate_hint: float | None = None,
        names: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> "Recording":
        """A recording with all promises kept; InputError about ``subject`` where they are not."""
        if not np.isfinite(values).any():
            raise InputError(subject, "holds no sample that is a number", "give a recording")
        stamps = seconds[np.isfinite(seconds)]
        backward = np.flatnonzero(np.diff(stamps) < 0)
        if len(backward):
            raise InputError(
                subject, f"its time goes back at sample {backward[0] + 2}", "sort or repair it"
            )
        if rate_hint is not None:
            _check_rate(subject, rate_hint)
        return cls(
            np.asarray(seconds, float), np.asarray(values, float), rate_hint, origin, names, notes
        )


def _check_rate(subject: object, rate: float) -> None:
    if not RATES[0] <= rate <= RATES[1]:
        raise InputError(
            subject, f"{rate:g} samples per second make no sense", "give the right rate in Hz"
        )


def as_recording(
    values: ArrayLike,
    sample_rate: float | None,
    *,
    subject: object = "array",
    names: tuple[str, ...] = (),
) -> Recording:
    """Samples (n,) or (n, channels) at a steady ``sample_rate`` in Hz as a recording.

    Channels are of one quantity, such as the colours of one sensor: the best may be taken.
    ``names`` are theirs.
    """
    array = np.asarray(values)
    if (
        array.dtype.kind not in "biuf"
        or array.ndim not in (1, 2)
        or not 0 < array.size <= MAX_SAMPLES
    ):
        raise InputError(
            subject,
            f"is {array.dtype} of shape {array.shape}",
            "give numbers (n,) or (n, channels)",
        )
    with np.errstate(invalid="ignore"):  # of a damaged file; what is no number is told below
        array = array.astype(float).reshape(len(array), -1)
    if array.shape[1] > MAX_CHANNELS:
        raise InputError(
            subject, f"has {array.shape[1]} channels", f"at most {MAX_CHANNELS} make sense"
        )
    if sample_rate is None:
        raise InputError(subject, "has no column of times", "give --sample-rate")
    _check_rate(subject, sample_rate)
    return Recording.checked(
        subject, np.arange(len(array)) / sample_rate, array, "sensor", sample_rate, names
    )


def to_csv(recording: Recording) -> str:
    """The recording as a table that ``read_recording`` reads: ``t_s`` and its channels, of a camera
    no grid cells."""
    names = recording.names or tuple(
        f"ppg{number or ''}" for number in range(recording.values.shape[1])
    )
    kept = [index for index, name in enumerate(names) if not name.startswith("cell")]
    lines = [",".join(("t_s", *(names[index] for index in kept)))]
    for second, row in zip(recording.seconds, recording.values[:, kept], strict=True):
        lines.append(",".join((f"{second:.6f}", *(f"{value:.6f}" for value in row))))
    return "\n".join(lines) + "\n"
