"""Every command in the package's README runs."""

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from vitrail.preprocess.video import open_video
from vitrail.testing.beside import DATA, needs
from vitrail.testing.commands import call, console_lines
from vitrail.testing.media import write_picture

ROOT = Path(__file__).parents[3]
README = Path(__file__).parents[1] / "README.md"
FACES = DATA / "deepfake" / "faces_real"
LINES = console_lines(README)


@pytest.fixture
def workplace(tmp_path, portrait, monkeypatch) -> Path:
    """A folder with the files that the README speaks of."""
    shutil.copy(portrait, tmp_path / "video.mp4")
    (tmp_path / "clips").mkdir()
    shutil.copy(portrait, tmp_path / "clips")
    (tmp_path / "frames").mkdir()
    for frame in open_video(portrait).frames([0, 40]):
        write_picture(tmp_path / "frames" / f"{frame.index}.png", np.asarray(frame.image))
    (tmp_path / "pipelines").symlink_to(ROOT / "pipelines")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VITRAIL_DATA", str(DATA))
    return tmp_path


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("deepfake-detect")])
def test_a_command_of_the_job(workplace, line):
    outcome = call("deepfake_detect", *shlex.split(line, comments=True)[1:])
    assert outcome.status == 0 and '"status": "done"' in outcome.stdout, outcome.stderr


@pytest.fixture
def few_faces(workplace) -> list[str]:
    """Overrides that let a recipe see a dozen people, train for two steps and skip the labelled
    sets."""
    for part in ("train", "val"):
        (workplace / part).mkdir()
        for picture in sorted((FACES / part).iterdir())[:12]:
            (workplace / part / picture.name).symlink_to(picture)
    changes = [
        "budget={steps: 2}",
        "epoch=2",
        "test={}",
        "model.init=null",
        f"data.train={workplace / 'train'}",
        f"data.test={workplace / 'val'}",
    ]
    return [word for change in changes for word in ("--set", change)]


@needs(FACES)
@pytest.mark.parametrize(
    "line", [line for line in LINES if line.startswith(("vitrail train", "vitrail evaluate"))]
)
def test_a_recipe(workplace, few_faces, line):
    outcome = call("vitrail", *shlex.split(line, comments=True)[1:], *few_faces)
    assert outcome.status == 0 and outcome.stdout, outcome.stderr
    if "-o" in line:
        assert (
            "Robustness: JPEG quality"
            in (workplace / shlex.split(line, comments=True)[-1]).read_text()
        )


def test_exports(workplace):
    (line,) = [line for line in LINES if line.startswith("vitrail export")]
    outcome = call("vitrail", *shlex.split(line, comments=True)[1:])
    assert outcome.status == 0 and len(list(workplace.rglob("*.onnx"))) == 2, outcome.stderr


def test_the_other_commands_install_the_package():
    others = [line for line in LINES if not line.startswith(("deepfake-detect", "vitrail"))]
    assert others == ["uv tool install ./packages/deepfake-detect"]
    assert (ROOT / others[0].split()[-1] / "pyproject.toml").is_file()
