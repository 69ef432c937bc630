"""People that the project renders: bodies of tapered limbs in random poses and clothes, lit from
one side, over real photographs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pose_estimate.skeleton import Skeleton, skeleton
from pose_estimate.training.samples import Shot, read_kept

UNIFIED = skeleton("unified")
SIDE = 320  # pixels of a made picture
SKIN = np.array([[236, 200, 175], [198, 150, 118], [150, 105, 75], [90, 62, 45]], float)


@dataclass(frozen=True)
class Limb:
    """A tapered capsule between two joints, of radii in units of the body's height; ``cloth`` names
    what covers it: top, legs, shoes, skin or hair."""

    start: str
    end: str
    radii: tuple[float, float]
    cloth: str


# Lengths in units of the body's height, after the proportions of anatomy books.
LIMBS = (
    *(Limb(f"{side}_hip", f"{side}_knee", (0.052, 0.036), "legs") for side in ("left", "right")),
    *(Limb(f"{side}_knee", f"{side}_ankle", (0.036, 0.022), "shins") for side in ("left", "right")),
    *(Limb(f"{side}_ankle", f"{side}_foot", (0.022, 0.018), "shoes") for side in ("left", "right")),
    *(
        Limb(f"{side}_shoulder", f"{side}_elbow", (0.034, 0.026), "top")
        for side in ("left", "right")
    ),
    *(
        Limb(f"{side}_elbow", f"{side}_wrist", (0.026, 0.018), "sleeves")
        for side in ("left", "right")
    ),
    Limb("neck", "thorax", (0.03, 0.04), "skin"),
)


class Renderer:
    """Draws made people over pictures of ``backgrounds``."""

    def __init__(self, backgrounds: Sequence[Path], bones: Skeleton):
        self.backgrounds, self.bones = backgrounds, bones

    def __call__(self, rng: np.random.Generator) -> Shot:
        picture = self._ground(rng)
        for _ in range(rng.integers(0, 3)):  # others behind
            render(picture, body(rng, SIDE, crowd=True), rng)
        joints = body(rng, SIDE)
        render(picture, joints, rng)
        points = np.concatenate((joints[:, :2], np.ones((len(joints), 1))), axis=1)
        low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
        margin = 0.06 * (high - low).max()
        box = np.concatenate((low - margin, high - low + 2 * margin))
        order = [UNIFIED.joints.index(name) if name in UNIFIED.joints else -1
                 for name in self.bones.joints]  # fmt: skip
        told = np.where(np.array(order)[:, None] >= 0, points[order], 0.0)
        return Shot(picture, box, told)

    def _ground(self, rng: np.random.Generator) -> np.ndarray:
        image = read_kept(self.backgrounds[int(rng.integers(len(self.backgrounds)))])
        height, width = image.shape[:2]
        side = int(min(height, width) * rng.uniform(0.5, 1.0))
        top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        part = image[top : top + side, left : left + side]
        return cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def body(rng: np.random.Generator, side: int, *, crowd: bool = False) -> np.ndarray:
    """Joints (23, 3) of a random pose in the unified order: x, y in pixels of a square, and depth,
    larger for what is nearer."""
    height = side * rng.uniform(0.5, 0.95) * (0.7 if crowd else 1.0)
    places = _posed(rng)
    places -= places[UNIFIED.joints.index("pelvis")]
    places = places @ _turned(rng).T
    flat = places[:, :2] * height
    low, high = flat.min(axis=0), flat.max(axis=0)
    room = np.maximum(side - (high - low), side * 0.1)
    offset = rng.uniform(0, 1, 2) * room - low
    return np.column_stack((flat + offset, places[:, 2]))


def render(picture: np.ndarray, joints: np.ndarray, rng: np.random.Generator) -> None:
    """Draws a body into ``picture``, uint8 RGB, the farthest limbs first."""
    place = dict(zip(UNIFIED.joints, joints, strict=True))
    height = max(float(np.linalg.norm(place["head_top"][:2] - place["pelvis"][:2])) * 2.1, 30.0)
    colours, light = _clothes(rng), rng.uniform(-1, 1)
    parts: list[tuple[float, object]] = [
        ((place[limb.start][2] + place[limb.end][2]) / 2, limb) for limb in LIMBS
    ]
    parts.append((place["thorax"][2] * 0.5 + place["pelvis"][2] * 0.5, "torso"))
    parts.append((place["nose"][2] * 0.5 + place["head_top"][2] * 0.5, "head"))
    for _, part in sorted(parts, key=lambda pair: pair[0]):
        if isinstance(part, Limb):
            ends, radii = (place[part.start][:2], place[part.end][:2]), part.radii
            _capsule(picture, ends, np.array(radii) * height, colours[part.cloth], light, rng)
            if part.cloth == "sleeves":
                _disc(picture, place[part.end][:2], 0.024 * height, colours["skin"])
        elif part == "torso":
            _torso(picture, place, height, colours["top"], light, rng)
        else:
            _head(picture, place, height, colours)


def _posed(rng: np.random.Generator) -> np.ndarray:
    """Joints (23, 3) in units of the height, y downwards, z towards the viewer, before the body as
    a whole is turned: a tree of bones, each bent at random."""
    named: dict[str, np.ndarray] = {"pelvis": np.zeros(3)}
    lean = _bend(rng, 0.25) if rng.random() < 0.7 else _bend(rng, 0.8)
    up = lean @ np.array([0.0, -1.0, 0.0])
    across = lean @ np.array([1.0, 0.0, 0.0])  # to the body's left, seen from the front
    named["thorax"] = up * 0.24
    named["neck"] = up * 0.30
    nod = lean @ _bend(rng, 0.35)
    top, front, side = (nod @ axis for axis in (np.array([0, -1.0, 0]), np.array([0, 0, 1.0]),
                                                np.array([1.0, 0, 0])))  # fmt: skip
    middle = named["neck"] + top * 0.10
    named["head_top"] = named["neck"] + top * 0.18
    named["nose"] = middle + front * 0.06
    for sign, name in ((1, "left"), (-1, "right")):
        named[f"{name}_eye"] = middle + front * 0.05 + top * 0.02 + side * sign * 0.02
        named[f"{name}_ear"] = middle + side * sign * 0.045
        shoulder = named["thorax"] + up * 0.03 + across * sign * 0.11
        hip = across * sign * 0.06
        arm, leg = _bend(rng, 0.9), _bend(rng, 0.5 if rng.random() < 0.7 else 1.1)
        if rng.random() < 0.35:  # an arm that is raised
            arm = _about(np.array([0.0, 0.0, 1.0]), -sign * rng.uniform(1.2, 3.0)) @ arm
        upper = lean @ arm @ np.array([0.25 * sign, 0.97, 0.0])
        elbow = shoulder + upper * 0.17
        bent = _about(_unit(np.cross(upper, lean @ np.array([0, 0, 1.0])) + 1e-6),
                      rng.uniform(0, 2.3)) @ upper  # fmt: skip
        thigh = lean @ leg @ np.array([0.06 * sign, 1.0, 0.0])
        knee = hip + thigh * 0.245
        back = _about(_unit(across + 1e-6), -(rng.uniform(0, 1.0) ** 2) * 2.2) @ thigh
        named[f"{name}_shoulder"], named[f"{name}_elbow"] = shoulder, elbow
        named[f"{name}_wrist"] = elbow + bent * 0.15
        named[f"{name}_hip"], named[f"{name}_knee"] = hip, knee
        named[f"{name}_ankle"] = knee + back * 0.246
        toes = lean @ leg @ np.array([0.2 * sign, 0.15, 0.95])
        named[f"{name}_foot"] = named[f"{name}_ankle"] + _unit(toes) * 0.08
    return np.stack([named[name] for name in UNIFIED.joints])


def _turned(rng: np.random.Generator) -> np.ndarray:
    """The body as a whole: about itself, a little towards the viewer, seldom on its side."""
    roll = rng.normal(0, 0.15) if rng.random() < 0.8 else rng.uniform(-np.pi, np.pi)
    return (
        _about(np.array([0.0, 0.0, 1.0]), roll)
        @ _about(np.array([1.0, 0.0, 0.0]), rng.normal(0, 0.25))
        @ _about(np.array([0.0, 1.0, 0.0]), rng.uniform(-np.pi, np.pi))
    )


def _bend(rng: np.random.Generator, spread: float) -> np.ndarray:
    axis = _unit(rng.normal(0, 1, 3))
    return _about(axis, rng.normal(0, spread))


def _about(axis: np.ndarray, angle: float) -> np.ndarray:
    rotation, _ = cv2.Rodrigues(np.asarray(axis, float) * angle)
    return rotation


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _clothes(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A colour RGB for each part; short sleeves and trousers show skin."""
    skin = SKIN[rng.integers(len(SKIN))] * rng.uniform(0.85, 1.1)
    top, legs, shoes, hair = rng.uniform(15, 245, (4, 3))
    hair = hair * 0.4
    return {
        "skin": skin.clip(0, 255),
        "top": top,
        "sleeves": skin if rng.random() < 0.5 else top,
        "legs": legs,
        "shins": skin if rng.random() < 0.3 else legs,
        "shoes": shoes,
        "hair": hair,
    }


def _capsule(
    picture: np.ndarray,
    ends: Sequence[np.ndarray],
    radii: np.ndarray,
    colour: np.ndarray,
    light: float,
    rng: np.random.Generator,
) -> None:
    """In five strips across, each a little lighter or darker than the one beside it."""
    start, end = ends
    along = _unit(end - start)
    across = np.array([-along[1], along[0]])
    for strip in np.linspace(-0.8, 0.8, 5):
        shade = np.clip(colour * (1 + 0.25 * light * strip) + rng.normal(0, 3, 3), 0, 255)
        wide = radii * np.sqrt(1 - strip**2) * 0.6 + 0.5
        one, other = start + across * strip * radii[0] * 0.6, end + across * strip * radii[1] * 0.6
        corners = [one - across * wide[0], one + across * wide[0],
                   other + across * wide[1], other - across * wide[1]]  # fmt: skip
        cv2.fillConvexPoly(picture, np.rint(corners).astype(np.int32), shade.tolist(), cv2.LINE_AA)
    for place, radius in zip(ends, radii, strict=True):
        _disc(picture, place, float(radius), colour)


def _torso(
    picture: np.ndarray,
    place: dict[str, np.ndarray],
    height: float,
    colour: np.ndarray,
    light: float,
    rng: np.random.Generator,
) -> None:
    corners = np.array([place[name][:2] for name in
                        ("left_shoulder", "right_shoulder", "right_hip", "left_hip")])  # fmt: skip
    middle = corners.mean(axis=0)
    for share in (1.0, 0.75, 0.5):
        shade = np.clip(colour * (1 + 0.12 * light * (1 - share)) + rng.normal(0, 3, 3), 0, 255)
        hull = np.rint(middle + (corners - middle) * share).astype(np.int32)
        cv2.fillConvexPoly(picture, cv2.convexHull(hull), shade.tolist(), cv2.LINE_AA)
        if share == 1.0:
            width = max(int(0.07 * height), 1)
            cv2.polylines(picture, [hull], True, shade.tolist(), width, cv2.LINE_AA)


def _head(picture: np.ndarray, place: dict[str, np.ndarray], height: float, colours: dict) -> None:
    top, neck = place["head_top"][:2], place["neck"][:2]
    middle, radius = top * 0.55 + neck * 0.45, 0.062 * height
    _disc(picture, middle + (top - middle) * 0.25, radius * 1.08, colours["hair"])
    if place["nose"][2] > place["left_ear"][2] * 0.5 + place["right_ear"][2] * 0.5:
        _disc(picture, middle * 0.6 + place["nose"][:2] * 0.4, radius * 0.9, colours["skin"])
        for name in ("left_eye", "right_eye"):
            _disc(picture, place[name][:2], max(radius * 0.13, 1.0), np.full(3, 30.0))
        _disc(picture, place["nose"][:2], max(radius * 0.14, 1.0), colours["skin"] * 0.8)


def _disc(picture: np.ndarray, place: np.ndarray, radius: float, colour: np.ndarray) -> None:
    centre = tuple(np.rint(place).astype(int).tolist())
    cv2.circle(picture, centre, max(round(radius), 1), np.clip(colour, 0, 255).tolist(), -1,
               cv2.LINE_AA)  # fmt: skip
