"""Every command in the package's README runs."""

import shlex
from pathlib import Path

import pytest

from vitrail.testing.beside import DATA, needs
from vitrail.testing.commands import call, console_lines

ROOT = Path(__file__).parents[3]
LINES = console_lines(Path(__file__).parents[1] / "README.md")


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """A folder from which the README's paths can be reached."""
    for name in ("packages", "pipelines"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("video-detect")])
def test_a_command_of_the_job(workplace, line):
    outcome = call("video_detect", *shlex.split(line)[1:])
    assert outcome.status == 0 and '"status": "done"' in outcome.stdout, outcome.stderr


def test_exports(workplace, weights):
    """With small weights; the contract of the house exports the bundled ones by the same call."""
    (line,) = [line for line in LINES if line.startswith("vitrail export")]
    outcome = call("vitrail", *shlex.split(line)[1:], "--weights", weights)
    assert outcome.status == 0 and len(list(workplace.rglob("*.onnx"))) == 2, outcome.stderr


@needs(DATA / "video-detection")
@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("vitrail train")])
def test_a_recipe_is_read(workplace, line, monkeypatch):
    """Training itself is tested on pictures that the test makes."""
    from vitrail.training.recipe import load_recipe

    monkeypatch.setenv("VITRAIL_DATA", str(DATA))
    recipe = load_recipe(shlex.split(line)[2])
    assert recipe.data.coco.is_dir() and recipe.stage in ("image", "clip")


def test_the_other_commands_install_the_package():
    known = ("video-detect", "vitrail train", "vitrail export", "vitrail evaluate")
    others = [line for line in LINES if not line.startswith(known)]
    assert others == ["uv tool install ./packages/video-detect"]
