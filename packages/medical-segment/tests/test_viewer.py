"""The page and the image: everything within, nothing from outside, nothing unescaped."""

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from medical_segment.files.volume import Kind, Volume
from medical_segment.result import Result
from medical_segment.show import montage, viewer
from medical_segment.show.display import colours, shown

from .fakes import PLAN_2D, PLAN_3D, small_job

LPS = np.diag([-1.0, -1, 2, 1])


def predict(data, plan=PLAN_3D, affine=None):
    return small_job(plan).predict(data, affine)


def page_data(page: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))


def unpacked(text: str) -> np.ndarray:
    return np.frombuffer(gzip.decompress(base64.b64decode(text)), np.uint8)


def test_the_page_holds_the_slices(blob):
    result = predict(blob, affine=LPS)
    data = page_data(viewer.html(result))
    assert data["size"] == [20, 26, 18] and data["spacing"] == [1, 1, 2] and not data["reduced"]
    labels = unpacked(data["labels"]).reshape(18, 26, 20).transpose(2, 1, 0)
    assert np.array_equal(labels, result.labels[::-1, ::-1])  # towards right and front
    assert len(unpacked(data["image"])) == blob.size
    assert [entry["text"].split()[0] for entry in data["legend"]] == ["anterior", "posterior"]


def test_an_image_keeps_its_colours():
    image = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    data = page_data(viewer.html(predict(image, PLAN_2D)))
    assert data["channels"] == 3 and data["size"] == [40, 30, 1] and data["image_only"]
    assert np.array_equal(unpacked(data["image"]).reshape(30, 40, 3), image)


def test_nothing_comes_from_outside(blob):
    page = viewer.html(predict(blob))
    assert not re.findall(r"""(?:src|href)\s*=|url\(|@import|https?://(?!www\.w3\.org)""", page)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    script = page.rsplit("<script>", 1)[1].rsplit("</script>", 1)[0]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL).group(1)
    for text in (script, style):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert policy.startswith("default-src 'none'")
    assert "Not a medical device" in page


def test_names_are_escaped(blob):
    plan = replace(PLAN_3D, labels=("background", "</script><b>x", "posterior"))
    result = replace(predict(blob, plan), source="<img onerror=x>.nii")
    page = viewer.html(result)
    assert "<img" not in page and "<b>x" not in page
    assert page_data(page)["legend"][0]["text"].startswith("</script><b>x")


@pytest.mark.parametrize("limit", [1000, 2000, 9000])
def test_a_large_volume_is_shown_smaller(blob, limit, monkeypatch):
    monkeypatch.setattr(viewer, "MAX_VALUES", limit)
    data = page_data(viewer.html(predict(blob, affine=np.diag([1.0, 1, 2, 1]))))
    nx, ny, nz = data["size"]
    assert nx * ny * nz <= limit and (data["reduced"] or limit >= blob.size)
    assert len(unpacked(data["labels"])) == nx * ny * nz
    assert data["spacing"][2] <= 2.01 or limit < 2000  # the finest axes are thinned first


def test_the_montage(blob, tmp_path):
    montage.draw(predict(blob), tmp_path / "a.png")
    image = np.asarray(Image.open(tmp_path / "a.png"))
    assert image.ndim == 3 and image.shape[1] >= 640
    assert (
        np.abs(image.astype(int) - colours(1)[0]).sum(axis=-1) < 10
    ).any()  # the legend's first colour


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 300, 3), (3, 40, 50)])
def test_odd_images(shape, tmp_path):
    data = np.random.default_rng(0).integers(0, 60000, shape).astype(np.uint16)
    result = predict(data, PLAN_2D)
    montage.draw(result, tmp_path / "a.png")
    assert shown(result).image.dtype == np.uint8 and viewer.html(result)


@pytest.mark.parametrize("directions", [(1, 1), (-1, 1), (1, -1)])
@pytest.mark.parametrize(("axes", "side"), [((2, 1), "R"), ((0,), "A")])
def test_the_letters_stand_at_the_patients_sides(directions, axes, side):
    """What is bright at the patient's right, or front, lies where that letter stands, however the
    file runs."""
    data = np.zeros((20, 26, 18), np.int16)
    bright = (slice(10, None),) if side == "R" else (slice(None), slice(13, None))
    data[bright] = 500
    right, front = directions
    stored, affine = data[::right, ::front], np.diag([float(right), float(front), 1, 1])
    volume = Volume(stored[None], affine, Kind.array)
    view = shown(Result("a", volume, PLAN_3D, np.zeros(data.shape, np.uint8)))
    for axis in axes:
        tile = np.asarray(montage._tile(view, axis, view.image.shape[axis] // 2, colours(7)))
        brightness = tile.mean(axis=(0, 2))
        half = len(brightness) // 2
        assert montage.SIDES[axis][0] == side
        assert brightness[:half].mean() > brightness[half:].mean() + 100


def test_colours_differ():
    assert len(set(colours(100))) == 100
