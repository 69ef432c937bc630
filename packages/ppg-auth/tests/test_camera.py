"""A camera that is not there, that stops, and one that sees a finger."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from ppg_auth.signal import reading
from vitrail.errors import InputError, MissingError


class FakeCamera:
    """Sees a red finger that pulses 72 times per minute, at 30 frames a second of a clock of its
    own."""

    def __init__(self, frames: int | None, opened: bool = True):
        self.left, self.opened, self.now, self.released = frames, opened, 0.0, False

    def isOpened(self) -> bool:
        return self.opened

    def read(self):
        if self.left is not None:
            if not self.left:
                return False, None
            self.left -= 1
        self.now += 1 / 30
        frame = np.zeros((120, 160, 3), np.uint8)
        frame[..., 2] = np.round(150 + 12 * np.sin(2 * np.pi * 1.2 * self.now))  # red comes last
        return True, frame

    def release(self) -> None:
        self.released = True


def connect(monkeypatch, device: FakeCamera) -> FakeCamera:
    logging = SimpleNamespace(setLogLevel=lambda _: None)
    library = SimpleNamespace(
        utils=SimpleNamespace(logging=logging), VideoCapture=lambda number: device
    )
    monkeypatch.setitem(sys.modules, "cv2", library)
    monkeypatch.setattr(reading.time, "monotonic", lambda: device.now)
    return device


def test_a_finger_is_recorded(monkeypatch):
    device = connect(monkeypatch, FakeCamera(None))
    recording = reading.record(0, seconds=6.0)
    assert device.released and recording.origin == "camera"
    assert recording.seconds[-1] - recording.seconds[0] == pytest.approx(6.0, abs=0.2)
    red = recording.values[:, 0]
    assert red.mean() == pytest.approx(150, abs=2) and np.ptp(red) == pytest.approx(24, abs=2)


def test_no_camera(monkeypatch):
    connect(monkeypatch, FakeCamera(0, opened=False))
    with pytest.raises(MissingError, match="no such camera"):
        reading.record(7)


def test_a_camera_that_stops(monkeypatch):
    device = connect(monkeypatch, FakeCamera(60))
    with pytest.raises(InputError, match="gave no image after 2"):
        reading.record(0)
    assert device.released


def test_no_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingError, match=r"ppg-auth\[camera\]"):
        reading.record(0)
