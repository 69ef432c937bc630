"""The spectrogram with the events drawn into it."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitrail.preprocess.audio import open_audio

if TYPE_CHECKING:
    from audio_classify.result import Result

RATE = 16_000
COLUMNS = 1000  # of the picture, whatever the length of the sound
FFT, BANDS = 1024, 96
WIDTH, HEIGHT, DPI = 10, 4, 100


def draw(result: "Result", path: Path) -> None:
    """Writes a PNG of 1000 x 400: mel bands over time, a bar and a name for each event."""
    import librosa.display
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    levels, hop = band_levels(result)
    figure = Figure((WIDTH, HEIGHT), DPI, layout="constrained")
    axes = figure.add_subplot()
    librosa.display.specshow(
        levels, sr=RATE, hop_length=hop, x_axis="time", y_axis="mel", cmap="magma", ax=axes
    )
    for number, event in enumerate(result.events):
        lane = 0.96 - 0.07 * (number % 6)
        axes.plot(
            [event.start, event.end],
            [lane] * 2,
            transform=axes.get_xaxis_transform(),
            lw=4,
            color=f"C{number % 6}",
        )
        text = f"{event.label} {event.probability:.0%}"
        axes.text(
            event.start,
            lane - 0.02,
            text,
            transform=axes.get_xaxis_transform(),
            color="white",
            va="top",
            size=8,
        )
    axes.set_title(
        "silence"
        if result.silent
        else ", ".join(f"{k} {p:.0%}" for k, p in list(result.labels.items())[:3])
    )
    FigureCanvasAgg(figure).print_png(path)


def band_levels(result: "Result") -> tuple[np.ndarray, int]:
    """Levels (bands, at most about 1000) in dB, each the loudest of its ``hop`` samples, read block
    by block."""
    import librosa

    hop = max(FFT // 4, int(result.seconds * RATE / COLUMNS))
    columns, rest = [], np.empty(0, np.float32)
    for block in open_audio(result.source).blocks(RATE):
        rest = np.concatenate([rest, block])
        count = len(rest) // hop
        columns += [_levels(part) for part in rest[: count * hop].reshape(count, hop)]
        rest = rest[count * hop :]
    if len(rest) or not columns:
        columns.append(_levels(rest))
    return librosa.power_to_db(np.stack(columns, axis=1), ref=np.max), hop


def _levels(part: np.ndarray) -> np.ndarray:
    """The highest energy of each mel band in a stretch of samples."""
    import librosa

    part = np.pad(part, (0, max(0, FFT - len(part))))
    bands = librosa.feature.melspectrogram(
        y=part, sr=RATE, n_fft=FFT, hop_length=FFT, center=False, n_mels=BANDS
    )
    return bands.max(axis=1)
