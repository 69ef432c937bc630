"""What one recording becomes: embeddings of its good windows, and all that a decision or a report
asks of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppg_auth.signal.beats import REASONS
from ppg_auth.signal.filters import scalogram
from ppg_auth.signal.windows import SLACK, Windows

MIN_WINDOWS = 3
MIN_SECONDS = 10.0


@dataclass(frozen=True)
class Capture:
    """``embeddings`` (n, 128) float32 unit rows of the windows that passed; ``reasons`` why others,
    or all, did not; ``notes`` what was noticed of the source itself (codes of ``REASONS``).

    ``raw`` and ``pulse`` (samples,) at ``sample_rate`` Hz are the longest stretch before and after
    cleaning, the pulse with systole up; ``seconds`` is how long the good windows last together.
    ``quality`` is their mean, 0..1.
    """

    source: str
    embeddings: NDArray[np.float32]
    windows: Windows
    reasons: tuple[str, ...]
    config: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    health: bool = False

    @property
    def damage(self) -> tuple[str, ...]:
        return tuple(REASONS[note] for note in self.notes)

    @property
    def windows_total(self) -> int:
        return len(self.windows.waves)

    @property
    def quality(self) -> float:
        good = self.windows.quality[self.windows.good]
        return float(good.mean()) if len(good) else 0.0

    @property
    def raw(self) -> NDArray[np.float64]:
        return self.windows.raw

    @property
    def pulse(self) -> NDArray[np.float64]:
        return self.windows.pulse

    @property
    def sample_rate(self) -> float:
        return self.windows.rate

    @property
    def heart_rate(self) -> float | None:
        return self.windows.heart_rate

    @cached_property
    def seconds(self) -> float:
        """Of signal under the good windows, overlaps counted once."""
        return _covered(self.windows, self.windows.starts[self.windows.good])

    @property
    def usable(self) -> bool:
        """Whether there is enough to enrol or to verify on."""
        return len(self.embeddings) >= MIN_WINDOWS and self.seconds >= MIN_SECONDS - SLACK

    @cached_property
    def scalogram(self) -> NDArray[np.float32]:
        """Of the best window (frequencies, columns), low frequencies first."""
        return scalogram(self.windows.waves[np.argmax(self.windows.quality)], self.config)

    def to_dict(self) -> dict:
        """The result as JSON values; the heart rate only where it was asked for."""
        row = {
            "usable": self.usable,
            "quality": round(self.quality, 3),
            "good_windows": len(self.embeddings),
            "windows": self.windows_total,
            "good_seconds": round(self.seconds, 2),
            "channels": list(self.windows.channels),
            "reasons": list(self.reasons),
        }
        return row | ({"heart_rate": self.heart_rate} if self.health else {})

    def cells(self) -> dict[str, str]:
        """The result as one row of the table for people."""
        verdict = "[bold green]usable[/]" if self.usable else "[bold yellow]not usable[/]"
        row = {
            "verdict": verdict,
            "quality": f"{self.quality:.2f}",
            "good windows": f"{len(self.embeddings)} of {self.windows_total}",
            "why": "; ".join(REASONS.get(reason, reason) for reason in self.reasons),
        }
        rate = "–" if self.heart_rate is None else f"{self.heart_rate:.0f} per minute"
        return row | ({"heart rate": rate} if self.health else {})


def too_short(windows: Windows) -> bool:
    """Whether a capture of these would not be usable if all of them were good."""
    seconds = _covered(windows, windows.starts)
    return len(windows.starts) < MIN_WINDOWS or seconds < MIN_SECONDS - SLACK


def _covered(windows: Windows, starts: NDArray[np.float64]) -> float:
    """Seconds under the windows that begin at ``starts``, overlaps counted once."""
    length = windows.waves.shape[1] / windows.rate
    return float(length + np.minimum(np.diff(starts), length).sum()) if len(starts) else 0.0
