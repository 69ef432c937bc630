"""The detector's figures: what is measured, and what is left out without YuNet's file."""

import numpy as np
import pytest

pytest.importorskip("lightning")

from vitrail.faces.evaluation import (
    OURS,
    PEER,
    clip_table,
    match_strangers,
    people_table,
    size_table,
    time_table,
)
from vitrail.faces.face import Face
from vitrail.faces.training import held_out
from vitrail.faces.training.data import Photographs, Scene
from vitrail.faces.training.held_out import CANVAS, SIZES, held_out_scenes

FIVE = np.array([[40, 50], [60, 50], [50, 60], [43, 70], [57, 70]], np.float32)
NOBODY = np.zeros((0, 4), np.float32)


def scene(image, boxes=NOBODY):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Scene(image, boxes, np.tile(FIVE, (len(boxes), 1, 1)), NOBODY)


class Fixed:
    """Gives the same faces for every image."""

    def __init__(self, *faces):
        self.faces = list(faces)

    def predict(self, images):
        return [self.faces for _ in images]


def face(x, score=0.9, landmarks=FIVE):
    return Face((x, 20.0, x + 60, 100.0), score, landmarks)


@pytest.fixture
def strangers(monkeypatch):
    """Portraits that are white where the face is, and one grey backdrop."""
    portraits = []
    for _ in range(len(SIZES)):
        image = np.zeros((120, 120, 3), np.uint8)
        image[30:90, 35:85] = 255
        portraits.append(scene(image, [(35, 30, 85, 90)]))
    grey = scene(np.full((100, 150, 3), 90, np.uint8))
    monkeypatch.setattr(held_out, "load_strangers", lambda data: Photographs(portraits, []))
    monkeypatch.setattr(held_out, "scenes_without_people", lambda data: [grey])
    return list(held_out_scenes(None))


def test_each_stranger_is_pasted_once_at_the_size_in_turn(strangers):
    assert len(strangers) == len(SIZES)
    for size, each in zip(SIZES, strangers, strict=True):
        assert each.image.shape == (CANVAS, CANVAS, 3)
        ((x0, y0, x1, y1),) = each.boxes
        assert np.sqrt((x1 - x0) * (y1 - y0)) == pytest.approx(size, rel=0.15), (
            "turned boxes are a little larger"
        )
        x, y = np.clip([(x0 + x1) / 2, (y0 + y1) / 2], 0, CANVAS - 1).astype(int)
        assert each.image[y, x].min() > 200, "the face lies where the label says"
        assert size > 200 or (each.image[..., 0] == 90).mean() > 0.3, "around it is the backdrop"


def test_figures_stand_beside_the_peers():
    image = np.zeros((120, 120, 3), np.uint8)
    scenes = [scene(image, [(20, 20, 80, 100)])] * 9 + [scene(image)]
    close = FIVE + np.array([2, 0])
    found = {
        OURS: match_strangers(Fixed(face(20, landmarks=close)), scenes),
        PEER: match_strangers(Fixed(face(20, score=0.8)), scenes),
    }
    table = people_table(found)
    ours, peer = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert (ours["recall"], ours["precision"]) == (1.0, 0.9)
    assert ours["landmark error / eye distance"] == pytest.approx(0.1)
    assert peer["landmark error / eye distance"] == 0
    assert ours["recall at precision 0.900"] == 1.0
    assert len(size_table(found).rows) == len(SIZES)


def test_without_the_peer_the_title_says_so():
    image = np.zeros((120, 120, 3), np.uint8)
    found = {
        OURS: match_strangers(Fixed(face(20)), [scene(image, [(20, 20, 80, 100)])] * len(SIZES))
    }
    table = people_table(found)
    assert "YuNet's file is not here" in table.title
    assert len(table.rows) == 1
    assert not any(PEER in column for column in size_table(found).columns)
    frames = [("a.mp4", np.zeros((90, 160, 3), np.uint8))]
    assert clip_table({OURS: Fixed(face(20))}, frames).rows == [("a.mp4", 1, 1), ("all", 1, 1)]


def test_boxes_that_only_one_detector_gives_are_counted():
    frames = [(name, np.zeros((90, 160, 3), np.uint8)) for name in ("a.mp4", "a.mp4", "b.mp4")]
    detectors = {OURS: Fixed(face(20), face(300)), PEER: Fixed(face(22))}
    assert clip_table(detectors, frames).rows == [
        ("a.mp4", 2, 2, 2, 2, 2, 0),
        ("b.mp4", 1, 1, 1, 1, 1, 0),
        ("all", 3, 3, 3, 3, 3, 0),
    ]


def test_time_is_told_beside_the_peers():
    images = [np.zeros((90, 160, 3), np.uint8)] * 2
    table = time_table({OURS: Fixed(), PEER: Fixed()}, images)
    assert [row[0] for row in table.rows] == [OURS, PEER]
    assert table.rows[1][2] == 1.0
