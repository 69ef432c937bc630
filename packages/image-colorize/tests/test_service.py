"""The service without a browser: what it answers, and what it refuses."""

import io

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="needs vitrail-image-colorize[serve]")
from starlette.testclient import TestClient

from image_colorize.service.app import colorize_app
from image_colorize.session import Session
from vitrail.preprocess.image_whole import WholeImage, encode_whole
from vitrail.serve import Desk, Limits

HINTS = [{"x": 0.25, "y": 0.3, "rgb": [180, 70, 60]}]


@pytest.fixture
def desk(job):
    desk = Desk(job)
    yield desk
    desk.close()


@pytest.fixture
def client(job, desk):
    return TestClient(colorize_app(job, desk, hosts=["testserver"]))


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def opened(client, image) -> dict:
    answer = client.post("/image", files={"file": ("../../scan.png", png(image))})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_image_is_opened_coloured_and_downloaded(client, job, scene):
    image = opened(client, scene)
    assert (image["width"], image["height"]) == (90, 60)
    grey = Image.open(io.BytesIO(client.get(f"/image/{image['id']}/grey").content))
    assert np.abs(np.asarray(grey).astype(int) - scene).max() <= 1
    answer = client.post(f"/image/{image['id']}/chroma", json={"hints": HINTS})
    chroma = np.frombuffer(answer.content, "<i2").reshape(job.size, job.size, 2) / 100
    session = Session(job, scene)
    session.add(0.25, 0.3, (180, 70, 60))
    np.testing.assert_allclose(chroma, session.chroma(), atol=0.006)
    wanted = {"hints": HINTS, "name": "../a\nb.jpg"}
    answer = client.post(f"/image/{image['id']}/file", json=wanted)
    assert answer.headers["x-name"] == "a_b.colorized.png"
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(answer.content))), session.render()
    )


def test_what_drew_on_a_hint(client, job, scene):
    image = opened(client, scene)
    answer = client.post(f"/image/{image['id']}/attention", json={"hints": HINTS})
    drawn = np.frombuffer(answer.content, np.uint8).reshape(job.size, job.size)
    assert drawn.max() > 220 and drawn.min() < 30
    none = client.post(f"/image/{image['id']}/attention", json={"hints": []})
    assert none.status_code == 400 and "no hint" in none.json()["detail"]


def test_a_large_image_is_shown_smaller(client):
    image = opened(client, np.zeros((1500, 4000), np.uint8))
    grey = Image.open(io.BytesIO(client.get(f"/image/{image['id']}/grey").content))
    assert grey.size == (1920, 720)


@pytest.mark.parametrize(
    ("hints", "reason"),
    [
        ([{"x": 2, "y": 0, "rgb": [0, 0, 0]}], "hint 1 lies outside"),
        ([{"x": 0, "y": 0, "rgb": "red"}], "hint 1 has no colour"),
        ([{}], "hint 1 has no number x"),
    ],
)
def test_bad_hints_are_refused(client, scene, hints, reason):
    image = opened(client, scene)
    for path in ("chroma", "file"):
        answer = client.post(f"/image/{image['id']}/{path}", json={"hints": hints})
        assert answer.status_code == 400 and reason in answer.json()["detail"]
    many = client.post(f"/image/{image['id']}/chroma", json={"hints": HINTS * 10_001})
    assert many.status_code == 422


def test_what_is_no_image_is_refused(client):
    answer = client.post("/image", files={"file": ("a.png", b"<html>")})
    assert answer.status_code == 400 and "is not an image" in answer.json()["detail"]
    assert client.get("/image/none/grey").status_code == 404
    assert client.get("/first").json() == {}


def test_hint_files_are_read(client):
    answer = client.post("/hints", json={"version": 1, "hints": HINTS})
    assert answer.json() == {"hints": [HINTS[0] | {"id": 1}], "sha256": None}
    made_for = {"version": 1, "image": {"sha256": "0" * 64}, "hints": []}
    assert client.post("/hints", json=made_for).json()["sha256"] == "0" * 64
    answer = client.post("/hints", json={"version": 3})
    assert answer.status_code == 400 and "version 3" in answer.json()["detail"]


def test_remarks_come_with_the_image_and_the_file(client, scene):
    coloured = np.dstack([scene, np.roll(scene, 40, 1), scene[::-1]])
    image = opened(client, coloured)
    assert "colours of its own" in image["remarks"][0]
    assert client.get(f"/image/{image['id']}").json() == image
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x829A] = 0.01  # the exposure, which a TIFF of 16 bits will not keep
    whole = WholeImage(coloured.astype(np.uint16) * 257, exif=exif.tobytes())
    png = client.post("/image", files={"file": ("a.png", encode_whole(whole, "PNG"))}).json()
    answer = client.post(f"/image/{png['id']}/file", json={"hints": []})
    assert answer.headers["x-remarks"] == ""


def test_images_are_kept_within_bounds(client, scene, monkeypatch):
    from image_colorize.service import app

    monkeypatch.setattr(app, "MAX_KEPT", 2 * scene.nbytes)
    first, second, third = (opened(client, scene + n)["id"] for n in range(3))
    assert client.get(f"/image/{first}").status_code == 404
    assert client.get(f"/image/{second}").status_code == 200
    monkeypatch.setattr(app, "MAX_KEPT", 1)
    last = opened(client, scene + 3)["id"]  # the one at hand stays, however large
    kept = [key for key in (second, third, last) if client.get(f"/image/{key}").is_success]
    assert kept == [last]


@pytest.mark.parametrize("content", ["text/plain", "application/xml", "multipart/form-data"])
def test_another_kind_of_content_is_refused(client, scene, content):
    image = opened(client, scene)
    for path in ("image", "hints", f"image/{image['id']}/chroma", f"image/{image['id']}/file"):
        headers = {"Content-Type": content}
        answer = client.post(f"/{path}", content=b"\xff\0hello", headers=headers)
        assert 400 <= answer.status_code < 500, (path, answer.text)


def test_limits_and_strangers(job, desk, scene):
    app = colorize_app(
        job, desk, hosts=["testserver"], token="secret", limits=Limits(max_bytes=1000)
    )
    client = TestClient(app)
    assert client.get("/").status_code == 200  # the page, which holds nothing
    assert client.get("/first").status_code == 401
    headers = {"Authorization": "Bearer secret"}
    answer = client.post("/image", files={"file": ("a.png", bytes(5000))}, headers=headers)
    assert answer.status_code == 413
    foreign = headers | {"Origin": "http://elsewhere.example"}
    assert client.get("/first", headers=foreign).status_code == 403


def test_the_page_comes_whole(client):
    page = client.get("/")
    assert "script-src 'sha256-" in page.headers["content-security-policy"]
    assert all(name in page.text for name in ("function merge(", "function undo(", 'id="wheel"'))


def test_two_tabs_do_not_mix(client, scene):
    image = opened(client, scene)
    other = [{"x": 0.8, "y": 0.8, "rgb": [60, 90, 170]}]
    asked = [HINTS, other, HINTS, other]
    answers = [
        client.post(f"/image/{image['id']}/chroma", json={"hints": hints})
        .raise_for_status()
        .content
        for hints in asked
    ]
    assert answers[0] == answers[2] != answers[1] == answers[3]
