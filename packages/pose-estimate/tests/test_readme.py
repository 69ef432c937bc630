"""Every command in the package's README runs."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from vitrail.testing.beside import DATA, needs
from vitrail.testing.commands import call, console_lines
from vitrail.testing.detectors import detector_folder
from vitrail.testing.media import write_clip

from .test_official import network, official_keys
from .test_training import people_of

ROOT = Path(__file__).parents[3]
PACKAGE = Path(__file__).parents[1]
README = PACKAGE / "README.md"
LINES = console_lines(README)


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """A folder with the files that the README speaks of."""
    photo = PACKAGE / "examples" / "astronaut.jpg"
    for name in ("photo.jpg", "portrait.jpg", "holiday/1.jpg", "holiday/2.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, tmp_path / name)
    from PIL import Image

    small = np.asarray(Image.open(photo).resize((128, 128)))
    write_clip(tmp_path / "film.mp4", [small] * 3, fps=5)
    image = {"id": 7, "file_name": "photo.jpg"}
    entry = {"id": 1, "image_id": 7, "category_id": 1, "bbox": [60, 10, 300, 480]}
    (tmp_path / "people.json").write_text(json.dumps({"images": [image], "annotations": [entry]}))
    detector_folder(tmp_path / "rtdetr_v2_r18vd")
    torch.save(official_keys(network()), tmp_path / "vitpose-b.pth")
    (tmp_path / "pipelines").symlink_to(ROOT / "pipelines")
    monkeypatch.setenv("VITRAIL_DATA", str(DATA))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("pose-estimate")])
def test_a_command_of_the_job(workplace, line):
    outcome = call("pose_estimate", *shlex.split(line, comments=True)[1:], "--engine", "eager")
    assert outcome.status == 0, outcome.stderr
    for row in map(json.loads, outcome.stdout.splitlines()):
        assert row["status"] == "done" and row["joints"]


def test_the_python_lines_run(workplace):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})


@needs(DATA / "pose")
@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("vitrail train")])
def test_a_training(workplace, line, monkeypatch):
    (workplace / "mine").mkdir()
    people_of(workplace / "mine").annotations.rename(workplace / "mine.json")
    words = shlex.split(line, comments=True)[1:]
    short = ["budget={steps: 1}", "optim.batch_size=2", "optim.precision=32", "workers=0",
             "epoch=1", "data.teacher=null"]  # fmt: skip
    outcome = call("vitrail", *words, *(part for one in short for part in ("--set", one)))
    assert outcome.status == 0, outcome.stderr


def test_the_other_commands_are_known():
    others = [line for line in LINES if not line.startswith(("pose-estimate", "vitrail train"))]
    assert others == ["uv tool install ./packages/pose-estimate"]
    assert (ROOT / others[0].split()[-1] / "pyproject.toml").is_file()
