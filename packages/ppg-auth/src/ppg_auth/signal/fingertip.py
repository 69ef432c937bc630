"""From the video of a fingertip on a camera's lens to its brightness over time."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from scipy import ndimage

from ppg_auth.signal.recording import Recording
from vitrail.errors import InputError
from vitrail.preprocess.video import open_video

SETTLING = 1.0  # seconds in which a camera still adjusts its exposure
LOOK = 30  # frames from which the region is found
MIN_SHARE, MIN_PIXELS = 0.25, 10_000  # of the image, either is enough
SATURATED, DARK = 250, 5  # levels
MAX_SATURATED = 0.2  # share of the region's pixels
EXPOSURE_STEP = 0.04  # change of the level from one frame to the next
BAR_SPREAD, BAR_LEVEL = 0.2, 8  # of black bars beside the image
GREY = 8  # levels between colours, below which an image has none
GRID = 8
MAX_IMAGE_PIXELS = 40_000_000  # pixels
LUMA = (0.299, 0.587, 0.114)  # BT.601
CHANNELS = ("r", "g", "b", "luma")

TimedFrame = tuple[float, NDArray[np.uint8]]


@dataclass(frozen=True)
class Region:
    """``mask`` (H, W) of the pixels that the finger covers; ``cells`` (P,): the grid cell of each
    of them."""

    mask: NDArray[np.bool_]
    cells: NDArray[np.intp]

    @property
    def share(self) -> float:
        return float(self.mask.mean())


def read_fingertip(path: Path, patience: float | None = None) -> Recording:
    """The recording of a video by its presentation time stamps.

    InputError where it is damaged or shows no finger, or takes over ``patience`` seconds to decode.
    """
    if path.suffix.lower() == ".gif":
        return from_frames(_within(_gif_frames(path), patience, path), subject=path)
    with open_video(path) as video:
        if not video.timed:
            raise InputError(path, "tells no times of its frames", "convert it to MP4")
        frames = ((frame.time, frame.image) for frame in video.frames(range(video.frame_count)))
        return from_frames(_within(frames, patience, path), subject=path)


def from_frames(frames: Iterable[TimedFrame], *, subject: object = "camera") -> Recording:
    """The recording of (seconds, uint8 RGB (H, W, 3)) frames, of which those of the first second
    are left out.

    Channels are the means of red, green, blue and luma over the finger, and then those of an 8 x 8
    grid of luma; saturated and black ones are left out. The note ``exposure`` says that the
    brightness jumped.
    """
    frames = iter(frames)
    first = list(islice(_settled(frames), LOOK))
    if len(first) < 2:
        raise InputError(subject, "holds no two frames after its first second", "record longer")
    region = find_region(np.stack([image for _, image in first]))
    if region is None:
        raise InputError(
            subject, "shows no finger that covers the lens", "cover lens and light with a fingertip"
        )
    measured = (
        (second, *_measure(image, region)) for second, image in chain(first, _settled(frames))
    )
    seconds, rows, extremes = zip(*measured, strict=True)
    values, extreme = np.stack(rows), np.stack(extremes).mean(axis=0)
    usable = np.ones(values.shape[1], bool)
    usable[:3] = extreme <= MAX_SATURATED
    usable &= (values.mean(axis=0) >= DARK) & (values.std(axis=0) > 0)
    if not usable.any():
        raise InputError(
            subject,
            "is black, white or still in all colours",
            "lower the exposure and record again",
        )
    steps = np.abs(np.diff(values[:, 3])) / np.maximum(values[:-1, 3], 1)
    names = (*CHANNELS, *(f"cell{number}" for number in range(values.shape[1] - len(CHANNELS))))
    return Recording.checked(
        subject,
        np.array(seconds),
        values[:, usable],
        "camera",
        names=tuple(name for name, kept in zip(names, usable, strict=True) if kept),
        notes=("exposure",) if (steps > EXPOSURE_STEP).any() else (),
    )


def _within(
    frames: Iterable[TimedFrame], patience: float | None, path: Path
) -> Iterator[TimedFrame]:
    started = time.monotonic()
    for frame in frames:
        if patience is not None and time.monotonic() - started > patience:
            raise InputError(
                path, f"takes over {patience:g} s to decode", "send a shorter or smaller video"
            )
        yield frame


def _gif_frames(path: Path) -> Iterator[TimedFrame]:
    """Frames of an animated image at the times that it states (FFmpeg's reader does not open all
    of them)."""
    seconds = 0.0
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_IMAGE_PIXELS:
                raise InputError(
                    path,
                    f"has frames of {image.width} x {image.height} pixels",
                    "make them smaller",
                )
            size = image.size
            for frame in ImageSequence.Iterator(image):
                if frame.size != size:
                    raise InputError(
                        path, "changes its size from frame to frame", "convert it to MP4"
                    )
                yield seconds, np.asarray(frame.convert("RGB"))
                seconds += frame.info.get("duration", 0) / 1000
    except InputError:
        raise
    except Exception as error:  # a damaged image makes Pillow raise nearly every kind there is
        raise InputError(
            path, f"is not a readable image ({type(error).__name__})", "convert it to MP4"
        ) from error


def find_region(images: NDArray[np.uint8]) -> Region | None:
    """The finger in frames (T, H, W, 3): the largest red area, or the middle tones of an image
    without colour.

    Black bars around the image are no part of it. None where too little is covered.
    """
    mean, inside = images.mean(axis=0), _inside_bars(images)
    red, green, blue = np.moveaxis(mean, -1, 0)
    if np.abs(mean - mean.mean(axis=-1, keepdims=True))[inside].max(initial=0) < GREY:
        low, high = np.quantile(red[inside], (0.2, 0.8)) if inside.any() else (0, 0)
        mask = inside & (red >= low) & (red <= high)
    else:
        flash_lit = (red > 0.4 * red.max()) & (red > 1.3 * green) & (red > 1.3 * blue)
        mask = _largest(flash_lit & inside)
    if mask.mean() < MIN_SHARE and mask.sum() < MIN_PIXELS:
        return None
    return Region(mask, _grid(mask))


def _settled(frames: Iterator[TimedFrame]) -> Iterator[TimedFrame]:
    return ((seconds, image) for seconds, image in frames if seconds >= SETTLING)


def _inside_bars(images: NDArray) -> NDArray[np.bool_]:
    """Without the rows and columns of black bars."""
    luma = images @ np.array(LUMA)
    bar = (luma.std(axis=0) < BAR_SPREAD) & (luma.mean(axis=0) < BAR_LEVEL)
    return ~(bar.all(axis=0)[None, :] | bar.all(axis=1)[:, None])


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labelled: Any = ndimage.label(mask)
    labels, count = labelled
    if not count:
        return mask
    return labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])


def _grid(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The cell of each masked pixel, in an 8 x 8 grid over the mask's bounding box, numbered
    without holes."""
    rows, columns = np.nonzero(mask)
    row = GRID * (rows - rows.min()) // (np.ptp(rows) + 1)
    column = GRID * (columns - columns.min()) // (np.ptp(columns) + 1)
    return np.unique(GRID * row + column, return_inverse=True)[1]


def _measure(
    image: NDArray[np.uint8], region: Region
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means of the channels and cells, and the share of saturated pixels of each colour."""
    pixels = image[region.mask]  # (P, 3)
    luma = pixels @ np.array(LUMA)
    cells = np.bincount(region.cells, weights=luma) / np.bincount(region.cells)
    return np.concatenate([pixels.mean(axis=0), [luma.mean()], cells]), (pixels >= SATURATED).mean(
        axis=0
    )
