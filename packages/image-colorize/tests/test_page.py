"""The page in a browser: open, click, drag, undo, reload, download; and the same on the command
line."""

import base64
import io
import json
import shutil
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="needs vitrail-image-colorize[serve]")
uvicorn = pytest.importorskip("uvicorn", reason="needs vitrail-image-colorize[serve]")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from image_colorize.hints import read_hints  # noqa: E402
from image_colorize.service.app import colorize_app  # noqa: E402
from vitrail.serve import Desk  # noqa: E402
from vitrail.testing.commands import call  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture
def photograph(tmp_path, scene):
    path = tmp_path / "scan.png"
    Image.fromarray(np.kron(scene, np.ones((4, 4), np.uint8))).save(path)
    return path


@contextmanager
def served(job, first=None):
    """Where the service listens, in a thread of its own, with ``first`` open."""
    desk = Desk(job)
    app = colorize_app(job, desk, hosts=["127.0.0.1"], first=first)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()
    desk.close()


@pytest.fixture
def address(job, photograph):
    with served(job, photograph) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """The page; nothing but an answer that refuses may be an error on it."""
    page = browser.new_page(viewport={"width": 1200, "height": 800}, accept_downloads=True)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(address)
    page.wait_for_selector("body[data-done]")
    yield page
    page.close()
    assert [error for error in errors if "status of 400" not in error] == []


def wait(page):
    """Until the latest answer is drawn."""
    for _ in range(500):  # the page's own policy forbids what playwright would wait with
        if page.evaluate("document.body.dataset.done === String(asked) && !running"):
            return
        page.wait_for_timeout(20)
    raise TimeoutError("the page does not come to rest")


def hints_of(page) -> list[dict]:
    return page.evaluate("state.hints")


def click_at(page, x: float, y: float, **how):
    """On a place of the image in 0..1."""
    box = page.locator("#canvas").bounding_box()
    at = page.evaluate(f"toCanvas({{x: {x}, y: {y}}})")
    page.mouse.click(box["x"] + at[0], box["y"] + at[1], **how)
    wait(page)


def drag(page, start: tuple[float, float], end: tuple[float, float]):
    box = page.locator("#canvas").bounding_box()
    places = [page.evaluate(f"toCanvas({{x: {x}, y: {y}}})") for x, y in (start, end)]
    (x0, y0), (x1, y1) = [(box["x"] + x, box["y"] + y) for x, y in places]
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move(x1, y1, steps=4)
    page.mouse.up()
    wait(page)


def test_three_hints_and_their_history(page, photograph, tmp_path):
    for x, y, colour in ((0.2, 0.3, "#b4463c"), (0.8, 0.3, "60 110 180"), (0.5, 0.85, "#4a8c46")):
        page.evaluate("state.selected = null")  # else its colour would be changed
        page.fill("#colour", colour)
        page.dispatch_event("#colour", "change")
        click_at(page, x, y)
    assert [hint["rgb"] for hint in hints_of(page)] == [
        [180, 70, 60],
        [60, 110, 180],
        [74, 140, 70],
    ]

    drag(page, (0.2, 0.3), (0.25, 0.4))
    assert hints_of(page)[0]["x"] == pytest.approx(0.25, abs=0.01)
    page.click("#undo")
    assert hints_of(page)[0]["x"] == pytest.approx(0.2, abs=0.01)
    page.click("#redo")
    wait(page)
    before = hints_of(page)
    page.reload()
    page.wait_for_selector("body[data-done]")
    wait(page)
    assert hints_of(page) == before

    with page.expect_download() as event:
        page.click("#save")
    coloured = tmp_path / "page.png"
    event.value.save_as(coloured)
    with page.expect_download() as event:
        page.click("#savehints")
    hints = tmp_path / "scan.hints.json"
    event.value.save_as(hints)
    assert event.value.suggested_filename == "scan.hints.json"
    assert len(read_hints(hints).hints) == 3

    outcome = call("image_colorize", photograph, "--engine", "eager", "--json")
    assert outcome.status == 0, outcome.stderr
    assert len(json.loads(outcome.stdout)["hints"]) == 3  # those beside the image
    assert (tmp_path / "scan.colorized.png").read_bytes() == coloured.read_bytes()

    shown = np.array(
        page.evaluate("[...coloured.getContext('2d').getImageData(0, 0, 360, 240).data]")
    )
    written = np.asarray(Image.open(coloured)).astype(int)
    assert np.abs(shown.reshape(240, 360, 4)[..., :3] - written).max() <= 2


def test_keys_and_history(page):
    for x in (0.3, 0.6):
        page.evaluate("state.selected = null")
        click_at(page, x, 0.5)
    first = hints_of(page)
    page.focus("#canvas")
    page.keyboard.press("n")  # from the second to the first
    page.keyboard.press("ArrowRight")
    wait(page)
    assert hints_of(page)[0]["x"] > first[0]["x"] and hints_of(page)[1] == first[1]
    page.keyboard.press("Control+z")
    wait(page)
    assert hints_of(page) == first
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("Delete")
    wait(page)
    assert hints_of(page) == first[1:]
    page.click("#clear")
    wait(page)
    assert hints_of(page) == []


def test_colours_from_everywhere(page, tmp_path):
    """The wheel stays in the gamut; eyedropper, second photograph, suggestions, recent colours,
    and a palette that outlives the image."""
    click_at(page, 0.3, 0.5)
    box = page.locator("#wheel").bounding_box()
    page.mouse.click(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)  # out of gamut
    wait(page)
    (hint,) = hints_of(page)
    shown = page.evaluate(f"rgbToLab({hint['rgb']})")
    assert shown[1] > 30 and abs(shown[0] - page.evaluate("wheelLightness")) < 3

    page.click("#dropper")
    at = page.evaluate("toCanvas({x: 0.8, y: 0.2})")
    stage = page.locator("#canvas").bounding_box()
    page.mouse.click(stage["x"] + at[0], stage["y"] + at[1])
    wait(page)
    assert len(hints_of(page)) == 1 and hints_of(page)[0]["rgb"] != hint["rgb"]

    other = np.full((40, 60, 3), (30, 160, 90), np.uint8)
    Image.fromarray(other).save(tmp_path / "other.png")
    page.set_input_files("#other", tmp_path / "other.png")
    page.wait_for_selector("#reference:not([hidden])")
    page.click("#reference", position={"x": 10, "y": 10})
    wait(page)
    assert hints_of(page)[0]["rgb"] == [30, 160, 90]
    page.click("#keep")
    page.click("#suggestions .swatch >> nth=0")
    wait(page)
    assert hints_of(page)[0]["rgb"] != [30, 160, 90]
    page.click("#recent .swatch >> nth=1")
    wait(page)
    assert hints_of(page)[0]["rgb"] == [30, 160, 90]

    name = "Straße 1931 %.png"
    Image.fromarray(other).save(tmp_path / name)
    page.set_input_files("#file", tmp_path / name)  # another image: other hints, one palette
    for _ in range(200):
        if page.evaluate("state.image.width") == 60:
            break
        page.wait_for_timeout(20)
    wait(page)
    assert hints_of(page) == []
    assert page.evaluate("state.palette") == [[30, 160, 90]]
    assert page.locator("#palette .swatch").count() == 1
    page.reload()  # the image of this tab, not the one that the command named
    page.wait_for_selector("body[data-done]")
    wait(page)
    assert page.evaluate("state.image.name") == name
    with page.expect_download() as event:
        page.click("#save")
    assert event.value.suggested_filename == "Straße 1931 %.colorized.png"


def test_what_the_page_tells(page, tmp_path, scene):
    """Remarks on an image and on hints; files that are none of it."""

    def load(where: str, name: str, content: str) -> str:
        (tmp_path / name).write_text(content)
        page.set_input_files(where, tmp_path / name)
        for _ in range(200):
            if page.locator("#status.wrong").count() or page.is_visible("#remarks"):
                break
            page.wait_for_timeout(20)
        wait(page)
        return page.inner_text("#foot") + page.inner_text("#remarks")

    entry = {"x": 0.3, "y": 0.3, "rgb": [9, 90, 9]}
    foreign = {"version": 1, "image": {"sha256": "0" * 64}, "hints": [entry]}
    said = load("#hints", "foreign.json", json.dumps(foreign))
    assert "the hints were made for another image" in said and len(hints_of(page)) == 1
    page.evaluate("tell([])")
    said = load("#hints", "wrong.json", json.dumps({"version": 2}))
    assert "wrong.json: " in said and "version 2" in said and len(hints_of(page)) == 1


def test_slider_strength_zoom_and_reach(page):
    click_at(page, 0.3, 0.5)

    def look() -> np.ndarray:
        data = page.evaluate("canvas.toDataURL()").partition(",")[2]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)

    colours = look()
    page.click("#reach")
    assert (look() != colours).any()
    page.click("#reach")
    page.click("#attention")
    for _ in range(200):
        if page.evaluate("drawn !== null"):
            break
        page.wait_for_timeout(20)
    assert (look() != colours).any()
    page.click("#attention")
    page.keyboard.press("b")  # before
    before = look()
    page.keyboard.press("b")
    np.testing.assert_array_equal(look(), colours)
    assert np.ptp(before, axis=2).astype(bool).mean() < 0.05  # grey, but for the mark of the hint
    page.fill("#strength", "0")
    wait(page)
    assert np.ptp(look(), axis=2).mean() < np.ptp(colours, axis=2).mean()
    zoom = page.evaluate("zoom")
    page.keyboard.press("+")
    assert page.evaluate("zoom") > zoom
    page.click("#fit")
    assert page.evaluate("zoom") == pytest.approx(zoom)


def test_without_an_image_there_is_nothing_to_do(browser, job):
    with served(job) as address:
        page = browser.new_page()
        page.goto(address)
        assert page.is_disabled("#save") and page.is_disabled("#hints")
        assert not page.is_disabled("#file")
        page.close()


def test_a_finger(browser, address):
    """A tap adds a hint, a drag moves it, two fingers zoom without adding one."""
    context = browser.new_context(has_touch=True, viewport={"width": 600, "height": 800})
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("body[data-done]")
    box = page.locator("#canvas").bounding_box()
    at = page.evaluate("toCanvas({x: 0.4, y: 0.5})")
    page.touchscreen.tap(box["x"] + at[0], box["y"] + at[1])
    wait(page)
    (hint,) = hints_of(page)
    assert (hint["x"], hint["y"]) == (pytest.approx(0.4, abs=0.01), pytest.approx(0.5, abs=0.01))
    touch = context.new_cdp_session(page)

    def fingers(kind: str, *places: tuple[float, float]):
        points = [
            {"x": box["x"] + x, "y": box["y"] + y, "id": number}
            for number, (x, y) in enumerate(places)
        ]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", tuple(at))
    fingers("touchMove", (at[0] + 60, at[1]))
    fingers("touchEnd")
    wait(page)
    (moved,) = hints_of(page)
    assert moved["x"] > hint["x"] + 0.05
    zoom = page.evaluate("zoom")
    near, far = (100.0, 100.0), (200.0, 100.0)
    fingers("touchStart", near)
    fingers("touchStart", near, far)
    fingers("touchMove", near, (300.0, 100.0))
    fingers("touchEnd")
    wait(page)
    assert page.evaluate("zoom") > 1.5 * zoom
    assert hints_of(page) == [moved]
    context.close()
