"""Every command in the package's README runs."""

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from vitrail.testing.beside import DATA, needs
from vitrail.testing.commands import call, console_lines

from .fakes import made_scene

ROOT = Path(__file__).parents[3]
PACKAGE = Path(__file__).parents[1]
LINES = console_lines(PACKAGE / "README.md")


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """A folder with the files that the README speaks of."""
    shutil.copy(PACKAGE / "examples" / "salinas-a.tif", tmp_path)
    cube, labels = made_scene()
    np.save(tmp_path / "cube.npy", cube)
    np.save(tmp_path / "labels.npy", labels)
    np.save(tmp_path / "other.npy", made_scene(1)[0])
    (tmp_path / "pipelines").symlink_to(ROOT / "pipelines")
    monkeypatch.setenv("VITRAIL_DATA", str(DATA))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_of_the_job_in_their_order(workplace):
    for line in LINES:
        if line.startswith("hsi-classify"):
            outcome = call("hsi_classify", *shlex.split(line, comments=True)[1:])
            assert outcome.status == 0 and '"status": "done"' in outcome.stdout, outcome.stderr
    assert (workplace / "map" / "salinas-a.tif" / "report.html").is_file()


@needs(DATA / "hyperspectral")
@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("vitrail")])
def test_a_recipe(workplace, line):
    words = shlex.split(line, comments=True)[1:]
    short = ["budget={steps: 2}", "measured={seeds: [0], splits: [patch]}"]
    outcome = call("vitrail", *words, *(part for one in short for part in ("--set", one)))
    assert outcome.status == 0 and outcome.stdout, outcome.stderr


def test_the_other_commands_install_the_package():
    others = [line for line in LINES if not line.startswith(("hsi-classify", "vitrail"))]
    assert others == ["uv tool install ./packages/hsi-classify"]
    assert (ROOT / others[0].split()[-1] / "pyproject.toml").is_file()
