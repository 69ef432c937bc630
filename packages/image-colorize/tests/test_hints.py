"""Hint files of all kinds, and what is refused."""

import json

import numpy as np
import pytest
from PIL import Image

from image_colorize.hints import (
    MAX_HINTS,
    Hint,
    HintFile,
    beside,
    numbered,
    parse_hints,
    read_hints,
)
from vitrail.errors import InputError

RED = {"x": 0.25, "y": 0.5, "rgb": [180, 70, 60]}


def written(tmp_path, content, name="a.hints.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_file_comes_back_as_it_was_written(tmp_path):
    hints = (Hint(0.25, 0.5, (180, 70, 60), 1), Hint(1.0, 0.0, (0, 255, 0), 2, 1.5))
    path = written(tmp_path, HintFile(hints, "ab" * 32, 800, 600).to_json())
    assert read_hints(path) == HintFile(hints, "ab" * 32, 800, 600)


@pytest.mark.parametrize(
    ("hint", "reason"),
    [
        (RED | {"x": 1.01}, "hint 2 lies outside: x is 1.01"),
        (RED | {"y": -0.1}, "hint 2 lies outside: y is -0.1"),
        (RED | {"x": float("nan")}, "hint 2 has no number x"),
        (RED | {"x": "left"}, "hint 2 has no number x"),
        (RED | {"x": True}, "hint 2 has no number x"),
        (RED | {"rgb": [180, 70]}, "hint 2 has no colour"),
        (RED | {"rgb": [180, 70, 256]}, "hint 2 has no colour"),
        (RED | {"rgb": [180, 70, 60.5]}, "hint 2 has no colour"),
        (RED | {"rgb": "red"}, "hint 2 has no colour"),
        (RED | {"time": -1}, "hint 2 has no valid time"),
        (RED | {"id": 1.5}, "hint 2 has an id"),
        ([0.5, 0.5], "hint 2 is not a mapping"),
    ],
)
def test_a_bad_hint_is_named_by_its_number(tmp_path, hint, reason):
    path = written(tmp_path, {"version": 1, "hints": [RED, hint]})
    with pytest.raises(InputError, match=reason):
        read_hints(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"version": 2, "hints": []}, "version 2"),
        ({"hints": []}, "version None"),
        ({"version": 1}, "no list of hints"),
        ([], "is not a hint file"),
        ("{" * 100_000, "no valid JSON"),
        ("[" * 200_000, "no valid JSON"),
        ({"version": 1, "hints": [RED] * 100_000}, "100000 hints"),
        ("hello", "line 1 is not a hint"),
        ("", "is empty"),
    ],
)
def test_what_is_not_a_hint_file_is_refused(tmp_path, content, reason):
    with pytest.raises(InputError, match=reason):
        read_hints(written(tmp_path, content))


def test_official_lines_take_their_colours_from_an_image(tmp_path):
    image = np.zeros((224, 224, 3), np.uint8)
    image[100:102, 40:42] = 10, 200, 30
    colours = tmp_path / "colours.png"
    Image.fromarray(image).save(colours)
    path = written(tmp_path, "100 41\n", "a.txt")
    (hint,) = read_hints(path, colours).hints
    assert hint.rgb == (10, 200, 30)
    assert (hint.x * 224, hint.y * 224) == pytest.approx((41, 101))  # the middle of the cell
    with pytest.raises(InputError, match="but not their colours"):
        read_hints(path)
    with pytest.raises(InputError, match="hint 1 lies outside"):
        read_hints(written(tmp_path, "224 0", "b.txt"), colours)
    Image.fromarray(np.full((9, 9, 3), 77, np.uint8)).save(colours)
    with pytest.raises(InputError, match="has no colours to take hints from"):
        read_hints(path, colours)


def test_a_sparse_image_holds_hints(tmp_path):
    image = np.zeros((50, 100, 4), np.uint8)
    image[10, 20] = 1, 2, 3, 255
    Image.fromarray(image).save(tmp_path / "h.png")
    (hint,) = read_hints(tmp_path / "h.png").hints
    assert hint == Hint(0.205, 0.21, (1, 2, 3))
    Image.fromarray(image[..., :3]).save(tmp_path / "h.png")
    with pytest.raises(InputError, match="without transparency"):
        read_hints(tmp_path / "h.png")
    side = int(MAX_HINTS**0.5) + 1
    Image.new("RGBA", (side, side), "red").save(tmp_path / "h.png")
    with pytest.raises(InputError, match=f"{side * side} hints"):
        read_hints(tmp_path / "h.png")


def test_numbers_and_neighbours(tmp_path):
    hints = numbered([Hint(0, 0, (0, 0, 0)), Hint(0, 0, (0, 0, 0), 1), Hint(0, 0, (0, 0, 0))])
    assert [hint.id for hint in hints] == [2, 1, 3]
    image = tmp_path / "a.jpg"
    assert beside(image) is None
    file = written(tmp_path, {"version": 1, "hints": []})
    assert beside(image) == file
    assert parse_hints(file.read_bytes(), "a").hints == ()
