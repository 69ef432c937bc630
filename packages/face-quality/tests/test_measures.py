"""What is measured of a face, and what is said about it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from face_quality.crops import aligned
from face_quality.measures import measure, reasons

from .fakes import face_at, portrait

FACE = face_at(115, 40, 1.1)


def measured(image=None, face=FACE, faces=None):
    image = portrait() if image is None else image
    return measure(image, face, aligned(image, face.landmarks), faces or [face])


def turned(degrees: float):
    """The face turned clockwise about its own middle."""
    angle = np.radians(degrees)
    middle = FACE.landmarks.mean(axis=0)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return replace(FACE, landmarks=((FACE.landmarks - middle) @ matrix + middle).astype(np.float32))


@pytest.mark.parametrize("degrees", [0, 45, 90, 179, -120])
def test_the_roll_is_known_over_the_full_circle(degrees):
    roll = measured(face=turned(degrees))["approx_HeadPoseRoll"]
    assert roll.raw == pytest.approx(degrees, abs=1)
    said = any("turned by" in reason for reason in reasons(measured(face=turned(degrees))))
    assert said == (abs(degrees) > 20)


def test_few_pixels_between_the_eyes():
    found = measured(face=face_at(100, 100, 0.3))
    assert found["approx_InterEyeDistance"].raw == pytest.approx(35.2 * 0.3, abs=0.5)
    assert "11 pixels between the eyes, 90 wanted: move closer" in reasons(found)


def test_a_nose_aside_is_a_turned_face():
    five = FACE.landmarks.copy()
    five[2, 0] += 14
    found = measured(face=replace(FACE, landmarks=five))
    assert found["approx_HeadPoseYaw"].raw > 25
    assert any("to the side" in reason for reason in reasons(found))


def test_darkness_glare_and_blur_are_named():
    image = portrait()
    cases = {
        "too dark": (image * 0.08).astype(np.uint8),
        "overexposed": np.clip(image * 4.0, 0, 255).astype(np.uint8),
        "blurred": cv2.GaussianBlur(image, (0, 0), 6),
    }
    assert not any(word in " ".join(reasons(measured(image))) for word in cases)
    for word, spoilt in cases.items():
        assert word in " ".join(reasons(measured(spoilt))), word


def test_compression_shows_at_the_blocks():
    image = portrait()
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 5])
    blocky = measured(cv2.imdecode(data, cv2.IMREAD_COLOR))["approx_CompressionArtifacts"]
    assert blocky.score < measured(image)["approx_CompressionArtifacts"].score - 40


def test_a_second_face_and_a_near_edge():
    two = measured(faces=[FACE, face_at(0, 0, 1.0)])
    assert any("Another face" in reason for reason in reasons(two))
    image = portrait()[90:]
    near = measured(image, face_at(115, -50, 1.1))
    assert any("top edge" in reason for reason in reasons(near))


def test_scores_lie_in_0_to_100():
    random = np.random.default_rng(0)
    for _ in range(20):
        image = random.integers(0, 256, (80, 70, 3), dtype=np.uint8)
        face = face_at(*random.uniform(-60, 60, 2), random.uniform(0.05, 3))
        for one in measured(image, face).values():
            assert 0 <= one.score <= 100 and np.isfinite(one.raw)
