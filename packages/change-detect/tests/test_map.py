"""The page with both dates: what stands in it, and how it behaves in a browser."""

import html
import json
import re
import shutil

import numpy as np
import pytest

from change_detect.polygons import outlines
from change_detect.show.map import write_map_page

from .fakes import built, made, town

ROOFS = ((100, 120, 140, 200), (20, 20, 40, 50))


@pytest.fixture
def page(job, tmp_path):
    """The page of two new roofs, whose files have names that want escaping."""
    ground = town()
    first = made(tmp_path / "<b>a.tif", ground)
    result = job.predict(first, made(tmp_path / "b&c.tif", built(ground, *ROOFS)))
    path = tmp_path / "map.html"
    write_map_page(result, outlines(result), path)
    return path


def test_outlines_lie_on_the_pixels(page):
    text = page.read_text()
    assert "<b>a.tif" not in text and "://" not in text
    drawn = {}
    for number, path in re.findall(r'<path data-id="(\d+)" d="([^"]*)"', text):
        points = np.array([p.split() for p in re.split("[MLZ]", path) if p], float)
        drawn[number] = (*points.min(0)[::-1], *points.max(0)[::-1])
    assert sorted(drawn.values()) == sorted(tuple(map(float, roof)) for roof in ROOFS)
    facts = json.loads(html.unescape(re.search(r'data-facts="([^"]*)"', text)[1]))
    assert facts["size"] == [340, 300]
    (west, north), (east, _), (_, south), _ = facts["corners"]
    assert 120 < west < east < 124 and 36 < south < north < 37


def test_an_empty_result_is_a_page_too(job, tmp_path):
    path = made(tmp_path / "a.tif", town())
    result = job.predict(path, path)
    write_map_page(result, outlines(result), tmp_path / "map.html")
    assert "0.00%" in (tmp_path / "map.html").read_text()


def test_in_a_browser(page):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        seen = browser.new_page()
        faults, asked = [], []
        seen.on("pageerror", lambda error: faults.append(str(error)))
        seen.on("console", lambda message: faults.append(message.text))
        seen.on("request", lambda request: asked.append(request.url))
        seen.goto(page.as_uri())
        before = seen.eval_on_selector("#ground", "e => e.style.transform")
        seen.locator("#list tbody tr").nth(1).click()
        assert seen.eval_on_selector("#ground", "e => e.style.transform") != before
        assert seen.locator("#shapes path[stroke='#ffe100']").count() == 1
        clip = seen.eval_on_selector("#before", "e => e.style.clipPath")
        seen.locator("#swipe").fill("100")
        assert seen.eval_on_selector("#before", "e => e.style.clipPath") != clip
        seen.locator("#map").hover()
        assert "longitude" in seen.inner_text("#where")
        browser.close()
    assert not faults and [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
