"""Every command in the package's README runs."""

import shlex
from pathlib import Path

import pytest

from vitrail.testing.beside import DATA, needs
from vitrail.testing.commands import call, console_lines

from .fakes import built, made, picture, town

ROOT = Path(__file__).parents[3]
LINES = console_lines(Path(__file__).parents[1] / "README.md")


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """A folder with the files that the README speaks of."""
    ground = town(120, 140)
    roof = (20, 30, 60, 80)
    made(tmp_path / "before.tif", ground), made(tmp_path / "after.tif", built(ground, roof))
    picture(tmp_path / "a.png", ground), picture(tmp_path / "b.png", built(ground, roof))
    for year in (2019, 2021, 2024):
        made(tmp_path / f"{year}.tif", built(ground, (10, 10, 10 + year % 100, 60)))
    (tmp_path / "pairs.csv").write_text("before,after\nbefore.tif,after.tif\na.png,b.png\n")
    (tmp_path / "pipelines").symlink_to(ROOT / "pipelines")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VITRAIL_DATA", str(DATA))
    return tmp_path


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("change-detect")])
def test_a_command_of_the_job(workplace, line):
    outcome = call("change_detect", *shlex.split(line, comments=True)[1:])
    assert outcome.status == 0 and '"status": "done"' in outcome.stdout, outcome.stderr


@needs(DATA / "change")
@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("vitrail train")])
def test_a_recipe_begins(workplace, line):
    words = shlex.split(line, comments=True)[1:]
    few = ("--set", "budget={epochs: 1}", "--set", "epoch=1", "--set", "optim.batch_size=2")
    if "pipelines/change-detect/nano.yaml" in words:  # it starts from what the line before makes
        few = (*few, "--set", "model.init=null")
    outcome = call("vitrail", *words, *few)
    assert outcome.status == 0 and outcome.stdout, outcome.stderr


def test_the_other_commands_install_the_package():
    known = ("change-detect", "vitrail train", "vitrail evaluate")
    others = [line for line in LINES if not line.startswith(known)]
    assert others == ["uv tool install ./packages/change-detect"]
    assert (ROOT / others[0].split()[-1] / "pyproject.toml").is_file()
