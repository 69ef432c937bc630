"""Every command of the README runs."""

import json
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from vitrail.testing.commands import call, console_lines

PACKAGE = Path(__file__).parents[1]
README = PACKAGE / "README.md"
INSTALLED = re.findall(r"^env/bin/(image-colorize [^#\n]*[^#\s])", README.read_text(), re.MULTILINE)
LINES = [*console_lines(README), *(line for line in INSTALLED if " serve " not in line)]
HINTS = {"version": 1, "hints": [{"x": 0.3, "y": 0.3, "rgb": [180, 70, 60], "time": 0.0}]}


@pytest.fixture
def workplace(tmp_path, scene, monkeypatch):
    """A folder with what the commands name: a photograph, a film, hints for both."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "packages").symlink_to(PACKAGE.parent)
    Image.fromarray(scene).save("photo.jpg")
    for name in ("photo", "film"):
        Path(f"{name}.hints.json").write_text(json.dumps(HINTS))


@pytest.mark.parametrize("line", LINES)
def test_a_line_runs(line, workplace, scene):
    command, *arguments = shlex.split(line)
    assert command == "image-colorize"
    if arguments[0] == "video":
        pytest.importorskip("av", reason="needs vitrail-image-colorize[video]")
        from vitrail.testing.media import write_clip

        write_clip(Path("film.mp4"), [scene[..., None].repeat(3, 2)] * 3)
    outcome = call("image_colorize", *arguments, "--engine", "eager")
    assert outcome.status == 0, outcome.stderr


def test_the_page_is_among_them():
    """It is opened in ``test_page``."""
    assert [line for line in INSTALLED if " serve " in line] == ["image-colorize serve photo.jpg"]
    assert len(LINES) >= 4
