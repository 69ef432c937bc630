"""A capture from a camera, live: frames with the time at which each came."""

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ppg_auth.fingertip import SETTLING, from_frames
from ppg_auth.recording import Recording
from vitrail.errors import InputError, MissingError

SECONDS = 21.0  # what a verification should have, and a little more


def record(number: int, seconds: float = SECONDS) -> Recording:
    """Records a fingertip on camera ``number`` for ``seconds``.

    MissingError where OpenCV or the camera is not there; InputError where the camera stops or no
    finger covers it.
    """
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
                    f"camera:{number}", f"gave no picture after {now:.1f} s", "check its cable"
                )
            yield now, np.ascontiguousarray(frame[..., ::-1])  # OpenCV gives blue first
    finally:
        camera.release()
