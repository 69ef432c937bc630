"""What can be measured of a face without a further network, and what it means for whoever takes the
picture.

Names without ``approx_`` are those of ISO/IEC 29794-5, used only where the definition is the
standard's; the maps to 0..100 are OFIQ's. Others measure the same thing by five landmarks and the
crop, where the standard wants a mask of the face, the chin or three angles.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import atan2, cos, degrees, exp, hypot, pi, radians, sin

import cv2
import numpy as np

from vitrail.faces.face import Face

NOSE_REACH = 1.1  # eye distances by which the nose tip stands before the eyes; makes angles
USUAL_NOSE = 0.57  # of the way from the eyes to the mouth, in a face seen from the front
EYES_TO_CHIN = 1.55  # by the distance from the eyes to the mouth
OVAL = ((56, 64), (38, 50))  # centre and half axes of the face in a crop of 112

NAMES = (
    "approx_InterEyeDistance",
    "approx_HeadSize",
    "approx_LeftwardCropOfTheFaceImage",
    "approx_RightwardCropOfTheFaceImage",
    "approx_MarginAboveOfTheFaceImage",
    "approx_MarginBelowOfTheFaceImage",
    "approx_HeadPoseYaw",
    "approx_HeadPosePitch",
    "approx_HeadPoseRoll",
    "SingleFacePresent",
    "approx_LuminanceMean",
    "approx_LuminanceVariance",
    "approx_UnderExposurePrevention",
    "approx_OverExposurePrevention",
    "approx_DynamicRange",
    "approx_NaturalColour",
    "approx_Sharpness",
    "approx_CompressionArtifacts",
    "approx_DetectorScore",
)


@dataclass(frozen=True)
class Measure:
    """A value in its own unit, and 0..100, the higher the better."""

    raw: float
    score: int

    @classmethod
    def of(cls, raw: float, score: float) -> "Measure":
        return cls(round(float(raw), 4), int(np.clip(np.floor(score + 0.5), 0, 100)))


def measure(
    image: np.ndarray, face: Face, crop: np.ndarray, faces: Sequence[Face]
) -> dict[str, Measure]:
    """All measures of a face in an image uint8 RGB (H, W, 3), whose aligned ``crop`` is (112, 112,
    3); ``faces`` are all that the image shows."""
    return {
        **_geometry(image.shape, face),
        "SingleFacePresent": _single(faces),
        **_light(crop),
        "approx_Sharpness": _sharpness(crop),
        "approx_CompressionArtifacts": _blocks(image, face),
        "approx_DetectorScore": Measure.of(face.score, 100 * face.score),
    }


def _geometry(shape: tuple[int, ...], face: Face) -> dict[str, Measure]:
    height, width = shape[:2]
    left, right, nose, *mouth = face.landmarks.astype(float)
    middle, lips = (left + right) / 2, np.mean(mouth, axis=0)
    across, down = right - left, lips - middle
    eyes, length = max(hypot(*across), 1e-6), max(hypot(*down), 1e-6)
    chin = EYES_TO_CHIN * length
    roll = degrees(atan2(across[1], across[0]))
    side = np.dot(nose - middle, across) / eyes**2
    yaw = degrees(atan2(side, NOSE_REACH * 0.5))
    pitch = degrees(atan2(np.dot(nose - middle, down) / length**2 - USUAL_NOSE, 0.5))
    # Seen from the side the eyes come nearer to one another.
    upright = eyes / max(cos(radians(yaw)), 0.2)
    return {
        "approx_InterEyeDistance": Measure.of(upright, _logistic(upright, 70, 20)),
        "approx_HeadSize": Measure.of(2.2 * chin / height, _bell(2.2 * chin / height, 0.45)),
        "approx_LeftwardCropOfTheFaceImage": _margin(middle[0] / eyes, 0.9),
        "approx_RightwardCropOfTheFaceImage": _margin((width - middle[0]) / eyes, 0.9),
        "approx_MarginAboveOfTheFaceImage": _margin(middle[1] / chin, 1.4),
        "approx_MarginBelowOfTheFaceImage": _margin((height - middle[1]) / chin, 1.8),
        "approx_HeadPoseYaw": _angle(yaw),
        "approx_HeadPosePitch": _angle(pitch),
        "approx_HeadPoseRoll": _angle(roll),
    }


def _light(crop: np.ndarray) -> dict[str, Measure]:
    mask = np.zeros(crop.shape[:2], np.uint8)
    cv2.ellipse(mask, *OVAL, 0, 0, 360, 1, -1)
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    inside = grey[mask > 0]
    shares = np.bincount(inside, minlength=256) / len(inside)
    mean = inside.mean() / 255
    variance = float(np.var(inside / 255))
    under, over = float(shares[:26].sum()), float(shares[247:].sum())
    known = shares[shares > 0]
    entropy = float(-(known * np.log2(known)).sum())
    middling = _logistic(mean, 0.2, 0.05) * (100 - _logistic(mean, 0.8, 0.05)) / 100
    spread = 60 * variance / (60 * variance + 1)
    darkness = 120 * (0.832 - 1 / (1 + exp((0.92 - under) / 0.05)))
    return {
        "approx_LuminanceMean": Measure.of(mean, middling),
        "approx_LuminanceVariance": Measure.of(variance, 100 * sin(spread * pi)),
        "approx_UnderExposurePrevention": Measure.of(under, darkness),
        "approx_OverExposurePrevention": Measure.of(over, 1 / (over + 0.01)),
        "approx_DynamicRange": Measure.of(entropy, 12.5 * entropy),
        "approx_NaturalColour": _colour(crop),
    }


def _single(faces: Sequence[Face]) -> Measure:
    """The area of the second largest face by that of the largest."""
    areas = sorted((one.size**2 for one in faces), reverse=True)
    ratio = areas[1] / areas[0] if len(areas) > 1 and areas[0] else 0.0
    return Measure.of(ratio, 100 * (1 - ratio))


def _sharpness(crop: np.ndarray) -> Measure:
    """The deviation of the Laplacian in the face, in levels."""
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    energy = float(cv2.Laplacian(grey, cv2.CV_32F)[20:108, 20:92].std())
    return Measure.of(energy, _logistic(energy, 12, 4))


def _blocks(image: np.ndarray, face: Face) -> Measure:
    """How much larger steps are at the borders of 8 x 8 blocks than within them, in the part of the
    image that shows the face; JPEG's grid begins in the image's corner."""
    x0, y0, x1, y1 = (int(edge) // 8 * 8 for edge in face.box)
    part = image[max(y0, 0) : max(y1, 8) + 8, max(x0, 0) : max(x1, 8) + 8]
    grey = part.mean(axis=2)
    if min(grey.shape) < 24:
        return Measure.of(1.0, 100)
    ratios = []
    for steps in (
        np.abs(np.diff(grey, axis=1)).mean(axis=0),
        np.abs(np.diff(grey, axis=0)).mean(1),
    ):
        at = np.arange(len(steps)) % 8 == 7
        ratios.append((steps[at].mean() + 0.5) / (steps[~at].mean() + 0.5))
    ratio = float(np.mean(ratios))
    return Measure.of(ratio, 100 - _logistic(ratio, 1.6, 0.15))


def _colour(crop: np.ndarray) -> Measure:
    """How far the mean colour of both cheeks lies from that of skin, in CIE Lab."""
    cheeks = np.concatenate((crop[62:78, 28:42], crop[62:78, 70:84]), axis=1).astype(np.float32)
    mean = cheeks.mean(axis=(0, 1), keepdims=True) / 255
    _, a, b = cv2.cvtColor(mean, cv2.COLOR_RGB2LAB)[0, 0].tolist()
    off = 100.0
    if a >= 0 and b >= 0:
        off = hypot(max(0.0, 5 - a, a - 25), max(0.0, 5 - b, b - 35))
    return Measure.of(off, 200 * (1 - 1 / (1 + exp(-off / 10))))


def _margin(raw: float, usual: float) -> Measure:
    return Measure.of(raw, _logistic(raw, usual, 0.1))


def _angle(angle: float) -> Measure:
    """Degrees, -180..180; the square of the cosine, as OFIQ has it."""
    return Measure.of(angle, 100 * max(cos(radians(angle)), 0) ** 2)


def _logistic(raw: float, middle: float, width: float) -> float:
    return 100 / (1 + exp(-np.clip((raw - middle) / width, -60, 60)))


def _bell(raw: float, best: float) -> float:
    """Of a head's share of the height: 100 at the best one, 14 at half of it and at twice."""
    return 100 * exp(-2 * (np.log(max(raw, 1e-6) / best) / np.log(2)) ** 2)


def reasons(found: Mapping[str, Measure], *, of_crop: bool = False) -> list[str]:
    """What to do about the picture, a sentence each, what helps most first. A crop (``of_crop``)
    tells nothing about the distance or the room around the head."""
    value = {name: one.raw for name, one in found.items()}
    said = []
    eyes, roll = value["approx_InterEyeDistance"], value["approx_HeadPoseRoll"]
    yaw, pitch = value["approx_HeadPoseYaw"], value["approx_HeadPosePitch"]
    if abs(roll) > 20:
        said.append(f"The head is turned by {abs(roll):.0f} degrees: hold it upright")
    if eyes < 45 and not of_crop:
        said.append(f"{eyes:.0f} pixels between the eyes, 90 wanted: move closer")
    if abs(yaw) > 25:
        said.append(f"The face looks {abs(yaw):.0f} degrees to the side: look into the camera")
    if abs(pitch) > 22:
        word = "down" if pitch > 0 else "up"
        said.append(f"The face looks {word}: hold the camera at the height of the eyes")
    cut = [
        side
        for side, name in (
            ("left", "approx_LeftwardCropOfTheFaceImage"),
            ("right", "approx_RightwardCropOfTheFaceImage"),
            ("top", "approx_MarginAboveOfTheFaceImage"),
            ("bottom", "approx_MarginBelowOfTheFaceImage"),
        )
        if found[name].score < 10 and not of_crop
    ]
    if cut:
        said.append(f"The face is too near to the {' and the '.join(cut)} edge: leave more room")
    if found["SingleFacePresent"].score < 50:
        said.append("Another face is nearly as large: let one person stand before the camera")
    if value["approx_UnderExposurePrevention"] > 0.5 or value["approx_LuminanceMean"] < 0.15:
        said.append("The face is too dark: bring light to it")
    if value["approx_OverExposurePrevention"] > 0.2:
        said.append("Parts of the face are overexposed: take away light or shorten the exposure")
    if found["approx_Sharpness"].score < 25:
        said.append("The face is blurred: hold the camera still, and focus on the eyes")
    if found["approx_CompressionArtifacts"].score < 30:
        said.append("The picture is strongly compressed: keep the camera's own file")
    if value["approx_DynamicRange"] < 5.5:
        said.append("The face shows little contrast: light it more evenly")
    return said
