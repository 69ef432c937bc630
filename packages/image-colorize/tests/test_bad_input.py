"""Damaged images and hint files: refused with a line, or right; never half read."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from image_colorize.hints import MAX_HINTS, Hint, HintFile, read_hints
from image_colorize.writing import write
from vitrail.errors import MAX_LINE, InputError
from vitrail.preprocess.image_whole import read_whole
from vitrail.testing.mutants import mutate_bytes, rows_of_mutants

GOOD = HintFile(
    tuple(Hint(n / 20, 1 - n / 20, (n, 2 * n, 255 - n), n) for n in range(1, 20)), "0" * 64, 80, 60
).to_json()


def test_mutants_of_a_hint_file(tmp_path):
    """What is read is what Python's own parser finds in the file."""
    rng = np.random.default_rng(11)
    path = tmp_path / "a.hints.json"
    read = 0
    for number in range(300):
        data = bytearray(GOOD.encode())
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        if number % 5 == 0:
            data = data[: int(rng.integers(1, len(data)))]
        path.write_bytes(bytes(data))
        try:
            found = read_hints(path)
        except InputError as error:
            assert len(str(error)) <= MAX_LINE and "\n" not in str(error)
            continue
        read += 1
        content = json.loads(bytes(data))
        assert len(found.hints) == len(content["hints"]) <= MAX_HINTS
        for hint, entry in zip(found.hints, content["hints"], strict=True):
            assert (hint.x, hint.y, list(hint.rgb)) == (entry["x"], entry["y"], entry["rgb"])
    assert 0 < read < 300


FORMATS = {"BMP": ".bmp", "GIF": ".gif", "JPEG": ".jpg", "PNG": ".png", "PPM": ".ppm"}
FORMATS |= {"TIFF": ".tif", "WEBP": ".webp"}


@pytest.mark.parametrize("kind", FORMATS)
def test_mutants_of_an_image(small_job, kind, tmp_path, capfd, monkeypatch):
    """Each is what Pillow reads of it, or has a remark, or a reason."""
    monkeypatch.setattr("sys.argv", ["image-colorize"])
    levels = np.random.default_rng(0).integers(0, 255, (12, 16), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, kind)
    mutants = list(mutate_bytes(buffer.getvalue(), seed=5, count=200))
    suffix = FORMATS[kind]
    rows = rows_of_mutants("image-colorize", small_job, write, mutants, tmp_path, suffix, capfd)
    done = [row for row in rows if row["status"] == "done"]
    assert done and len(done) < len(rows)
    for row in done:
        with Image.open(row["source"]) as image:
            assert (row["image"]["width"], row["image"]["height"]) == image.size
            if image.mode == "L" and "icc_profile" not in image.info and not row["damage"]:
                read = read_whole(row["source"]).levels
                np.testing.assert_array_equal(read, np.asarray(image), strict=True)


def test_mutants_of_the_release_lines(tmp_path, scene):
    """What is read is as many hints as there are lines of two numbers."""
    colours, path = tmp_path / "colours.png", tmp_path / "hints.txt"
    Image.fromarray(np.dstack([scene, scene // 2, scene])).save(colours)
    read = 0
    for data in mutate_bytes(b"".join(b"%d %d\n" % (n, 2 * n) for n in range(1, 60)), 6, 200):
        path.write_bytes(data)
        try:
            found = read_hints(path, colours).hints
        except InputError as error:
            assert len(str(error)) <= MAX_LINE and "\n" not in str(error)
            continue
        read += 1
        lines = [line.split() for line in data.decode().splitlines() if line.strip()]
        assert len(found) == len(lines)
        for hint, (row, column) in zip(found, lines, strict=True):
            assert abs(hint.y * 224 - int(row)) < 1.01 and abs(hint.x * 224 - int(column)) < 1.01
    assert read


def test_mutants_of_a_sparse_image(tmp_path):
    """What is read are the pixels that Pillow finds opaque."""
    rng = np.random.default_rng(8)
    image = rng.integers(0, 255, (20, 30, 4), dtype=np.uint8)
    image[..., 3] = np.where(rng.random((20, 30)) < 0.05, 255, 0)
    path, buffer = tmp_path / "hints.png", io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    read = 0
    for data in mutate_bytes(buffer.getvalue(), 7, 200):
        path.write_bytes(data)
        try:
            found = read_hints(path).hints
        except InputError as error:
            assert len(str(error)) <= MAX_LINE and "\n" not in str(error)
            continue
        read += 1
        with Image.open(path) as opened:
            seen = np.asarray(opened.convert("RGBA"))
        opaque = seen[seen[..., 3] > 127][:, :3].tolist()
        assert [list(hint.rgb) for hint in found] == opaque
    assert read
