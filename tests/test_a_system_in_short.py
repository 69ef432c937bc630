"""The job that ``docs/a-system-in-short.md`` shows: its files, taken from the page, run."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from vitrail.testing.commands import call

PAGE = Path(__file__).parents[1] / "docs" / "a-system-in-short.md"
PACKAGE = "colour_name"


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder in which the page's package is installed."""
    for name, text in re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    known = tmp_path / "vitrail_colour_name-0.1.0.dist-info" / "METADATA"
    known.parent.mkdir()
    known.write_text("Metadata-Version: 2.4\nName: vitrail-colour-name\nVersion: 0.1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("VITRAIL_CACHE", str(tmp_path / "cache"))
    Image.new("RGB", (8, 6), (20, 30, 220)).save(tmp_path / "sea.png")
    (tmp_path / "bad.png").write_bytes(b"nothing")
    yield tmp_path
    for module in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[module]


def test_the_job_of_the_page(workplace):
    output = workplace / "out"
    sources = workplace / "bad.png", workplace / "sea.png"
    outcome = call(PACKAGE, *sources, "-o", output)
    failed, row = map(json.loads, outcome.stdout.splitlines())
    assert outcome.status == 1 and failed["status"] == "failed", outcome.stderr
    assert (row["colour"], row["version"], row["damage"]) == ("blue", "0.1.0", [])
    (swatch,) = output.glob("*/swatch.png")
    assert Image.open(swatch).getpixel((0, 0)) == (20, 30, 220)


def test_the_page_from_python(workplace):
    from colour_name import load

    assert load(engine="eager").predict(workplace / "sea.png").colour == "blue"
