"""The spectrogram with the events drawn into it."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from audio_classify.sound.events import Event
from audio_classify.sound.spectrogram import DYNAMIC_RANGE, Spectrogram

WIDTH, HEIGHT = 1000, 400
LANES, LANE_HEIGHT = 6, 24


def draw(spectrogram: Spectrogram, events: Sequence[Event], seconds: float) -> Image.Image:
    """An RGB image of 1000 x 400: mel bands over time, a bar and a name for each event."""
    shown = min(spectrogram.levels.shape[1], round(seconds / spectrogram.column_seconds) or 1)
    grey = 255 * (1 + spectrogram.levels[::-1, :shown] / DYNAMIC_RANGE)
    image = Image.fromarray(grey.astype(np.uint8)).resize((WIDTH, HEIGHT)).convert("RGB")
    pen = ImageDraw.Draw(image)
    for number, event in enumerate(events):
        left, right = (WIDTH * time / seconds for time in (event.start, event.end))
        top = LANE_HEIGHT * (number % LANES)
        pen.rectangle((left, top, right, top + 3), fill="white")
        pen.text((left, top + 5), f"{event.label} {event.probability:.0%}", fill="white")
    return image
