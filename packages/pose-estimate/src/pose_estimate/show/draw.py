"""Poses drawn over the images that they were found in, and films of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pose_estimate.result import FramePeople, Person, Result
from pose_estimate.skeleton import Skeleton
from vitrail.preprocess.film import Film
from vitrail.preprocess.image import read_image
from vitrail.preprocess.video import open_video
from vitrail.report.overlay import Overlay

DIMMED = 0.3  # brightness of patches that were not looked at to the end
FIRST_COLOUR = 3  # of people's boxes, beside those of the joints


def draw(image: np.ndarray, people: Sequence[Person], bones: Skeleton) -> np.ndarray:
    """The image uint8 RGB (H, W, 3) with boxes, lines and dots; joints that are not visible are
    left out."""
    overlay = Overlay(image)
    for place, person in enumerate(people):
        x, y, width, height = person.box
        name = f"{person.score:.2f}" if person.number is None else f"{person.number}"
        tone = FIRST_COLOUR + (place if person.number is None else person.number)
        overlay.box(x, y, x + width, y + height, name, tone)
    for person in people:
        points = person.joints[:, :2]
        for one, other in bones.edges:
            if person.visible[one] and person.visible[other]:
                overlay.line([tuple(points[one]), tuple(points[other])], bones.colours[other])
        for number, tone in enumerate(bones.colours):
            if person.visible[number]:
                overlay.points([tuple(points[number])], tone)
    return overlay.image()


def draw_kept(image: np.ndarray, people: Sequence[Person]) -> np.ndarray:
    """The image, dark where no patch was looked at to the end."""
    light = np.zeros(image.shape[:2], np.uint8)
    for person in people:
        if person.kept is not None:
            for corners in person.kept:
                cv2.fillConvexPoly(light, np.rint(corners).astype(np.int32), 1)
    scale = np.where(light[..., None] > 0, 1.0, DIMMED)
    return np.rint(image * scale).astype(np.uint8)


def write_pictures(result: Result, folder: Path) -> None:
    """``overlay.png``, and ``kept.png`` where patches were dropped; of a film ``overlay.mp4``."""
    if result.is_film:
        write_film(result, folder / "overlay.mp4")
        return
    image = read_image(result.path) if result.path else result.image
    assert image is not None
    drawn = draw(image, result.people, result.skeleton)
    Image.fromarray(drawn).save(folder / "overlay.png")
    if any(person.kept is not None for person in result.people):
        Image.fromarray(draw_kept(image, result.people)).save(folder / "kept.png")


def write_film(result: Result, path: Path) -> None:
    """The film with the poses drawn in, each frame at its source's time."""
    with Film(path) as film:
        for time, image in _drawn(result):
            film.add(image, time)


def _drawn(result: Result) -> Iterator[tuple[float, np.ndarray]]:
    """Time and picture of each frame that was looked at, read a second time."""
    assert result.path is not None
    people = {}
    poses: Iterator[FramePeople] = iter(result.frames)
    with open_video(result.path) as film:
        for frame in film.frames(range(film.frame_count)):
            while frame.index not in people and (told := next(poses, None)) is not None:
                people = {told.index: told.people}
            drawn = draw(frame.image, people.get(frame.index, ()), result.skeleton)
            yield frame.time, drawn
