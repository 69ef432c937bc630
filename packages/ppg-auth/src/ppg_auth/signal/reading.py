"""Recordings of what the user names: a file of any kind that is known, a pattern, the camera."""

import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ppg_auth.signal.formats import READERS
from ppg_auth.signal.recording import Recording
from ppg_auth.signal.wfdb import read_wfdb
from vitrail.errors import InputError, MissingError
from vitrail.sources import VIDEO_SUFFIXES, Source, expand_sources, require_file

CAMERA = re.compile(r"camera:(\d{1,3})")
CAMERA_SECONDS = 21.0  # what a verification should have, and a little more


def sources_of(arguments: Sequence[str]) -> list[Source]:
    """Each file that ``arguments`` name once, then the cameras (``camera:0``)."""
    cameras = [argument for argument in arguments if CAMERA.fullmatch(argument)]
    files = expand_sources([argument for argument in arguments if argument not in cameras])
    return [*files, *map(Source, cameras)]


def source_of(argument: str) -> Source:
    """The only source that ``argument`` names; InputError where it matches several files."""
    found = sources_of([argument])
    if len(found) > 1:
        raise InputError(argument, f"matches {len(found)} files", "name one")
    return found[0]


def read_source(
    source: Source,
    sample_rate: float | None = None,
    patience: float | None = None,
    channel: str | None = None,
) -> Recording:
    """The recording of a file, or of what a camera sees now; as ``read_recording`` otherwise."""
    if not source.paths and (camera := CAMERA.fullmatch(source.name)):
        return record(int(camera.group(1)))
    return read_recording(source.path, sample_rate, patience=patience, channel=channel)


def read_recording(
    path: Path | str,
    sample_rate: float | None = None,
    *,
    patience: float | None = None,
    channel: str | None = None,
) -> Recording:
    """Reads a CSV, Parquet, ``.npy`` or WFDB (``.hea``) file, or the video of a fingertip, by its
    suffix.

    ``sample_rate`` in Hz is needed where a file tells no times, ``channel`` where the names of its
    columns do not tell the pulse; a video is decoded for ``patience`` seconds at most. InputError
    says in one sentence what is wrong.
    """
    path = require_file(Path(path))
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES or suffix == ".gif":
        # Decoders are loaded for videos alone: a table needs half of the start without them.
        from ppg_auth.signal.fingertip import read_fingertip

        return read_fingertip(path, patience)
    reader = read_wfdb if suffix == ".hea" else READERS.get(suffix)
    if reader is None:
        known = ", ".join([*READERS, ".hea"])
        raise InputError(
            path, f"is of no known kind ({suffix or 'no suffix'})", f"give {known} or a video"
        )
    return reader(path, sample_rate, channel)


def record(number: int, seconds: float = CAMERA_SECONDS) -> Recording:
    """Records a fingertip on camera ``number`` for ``seconds``.

    MissingError where OpenCV or the camera is not there; InputError where the camera stops or no
    finger covers it.
    """
    from ppg_auth.signal.fingertip import SETTLING, from_frames

    return from_frames(_frames(number, seconds + SETTLING), subject=f"camera:{number}")


def _frames(number: int, seconds: float) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise MissingError(
            "camera", "needs the library OpenCV", "install vitrail-ppg-auth[camera]"
        ) from error
    cv2.utils.logging.setLogLevel(0)  # it would write about every missing device
    camera = cv2.VideoCapture(number)
    try:
        if not camera.isOpened():
            raise MissingError(
                f"camera:{number}", "there is no such camera", "plug one in, or give a recording"
            )
        started = time.monotonic()
        while (now := time.monotonic() - started) < seconds:
            read, frame = camera.read()
            if not read:
                raise InputError(
                    f"camera:{number}", f"gave no image after {now:.1f} s", "check its cable"
                )
            yield now, np.ascontiguousarray(frame[..., ::-1], np.uint8)  # OpenCV gives blue first
    finally:
        camera.release()
