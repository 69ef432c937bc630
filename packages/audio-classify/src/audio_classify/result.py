"""What the job gives back for one source, and the files that it becomes."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio_classify.events import Event

TOP = 5
SILENCE_LABEL = "silence"


@dataclass(frozen=True)
class Result:
    """``probabilities`` of all classes over the whole sound, the likeliest first (none for
    silence).

    ``loudness`` is that of the loudest window in dB below full scale. ``starts`` (windows,) in
    seconds, and ``embeddings`` (windows, dim) where they were asked for, are those of the windows
    that are not silent.
    """

    source: Path
    seconds: float
    probabilities: dict[str, float]
    events: tuple[Event, ...]
    silent: bool
    loudness: float
    damage: tuple[str, ...]
    starts: np.ndarray
    window_seconds: float
    embeddings: np.ndarray | None = None

    @property
    def labels(self) -> dict[str, float]:
        """The likeliest classes, at most five."""
        return dict(list(self.probabilities.items())[:TOP])

    def to_dict(self) -> dict:
        """The result as JSON values."""
        return {
            "label": SILENCE_LABEL if self.silent else next(iter(self.probabilities), None),
            "labels": {label: round(p, 4) for label, p in self.labels.items()},
            "events": [event.to_dict() for event in self.events],
            "silent": self.silent,
            "loudness_db": round(self.loudness, 1),
            "duration": round(self.seconds, 3),
            "damage": list(self.damage),
        }

    def cells(self) -> dict[str, str]:
        """The result as one row of the table for people."""
        likely = ", ".join(f"{label} {p:.0%}" for label, p in list(self.labels.items())[:3])
        return {
            "sound": SILENCE_LABEL if self.silent else likely or "(no classes)",
            "duration": f"{self.seconds:.1f} s",
            "events": str(len(self.events)),
            "damage": "; ".join(self.damage),
        }

    def write(self, folder: Path) -> None:
        """Writes the events as JSON lines, CSV and Audacity labels, the picture, and embeddings if
        there are any."""
        from audio_classify.picture import draw

        rows = [event.to_dict() for event in self.events]
        (folder / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        with (folder / "events.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, ["label", "start", "end", "probability"])
            table.writeheader()
            table.writerows(rows)
        lines = (f"{event.start:.6f}\t{event.end:.6f}\t{event.label}\n" for event in self.events)
        (folder / "events.txt").write_text("".join(lines))
        draw(self, folder / "spectrogram.png")
        if self.embeddings is not None:
            np.save(folder / "embeddings.npy", self.embeddings)
