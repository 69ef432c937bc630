"""Every command in the package's README runs."""

import shlex
import shutil
from pathlib import Path

import pytest

from vitrail.testing.beside import DATA
from vitrail.testing.commands import call, console_lines
from vitrail.testing.media import write_clip

from .fakes import PORTRAIT, portrait
from .test_cli import write_tables

ROOT = Path(__file__).parents[3]
LINES = console_lines(Path(__file__).parents[1] / "README.md")


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """A folder with the files that the README speaks of."""
    for name in ("photo.jpg", "folder/1.jpg", "people/ada/1.jpg", "people/ada/2.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PORTRAIT, tmp_path / name)
    for number in range(20):
        (tmp_path / "mine").mkdir(exist_ok=True)
        shutil.copy(PORTRAIT, tmp_path / "mine" / f"{number}.jpg")
    write_clip(tmp_path / "entrance.mp4", [portrait()[:398, :360]] * 4, fps=5)
    write_tables(tmp_path)
    (tmp_path / "s.csv").rename(tmp_path / "scores.csv")
    (tmp_path / "p.csv").rename(tmp_path / "pairs.csv")
    (tmp_path / "rules.yaml").write_text("min_score: 0\none_face: true\nmeasures: {}\n")
    (tmp_path / "pipelines").symlink_to(ROOT / "pipelines")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VITRAIL_DATA", str(DATA))
    return tmp_path


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("face-quality")])
def test_a_command_of_the_job(workplace, line):
    outcome = call("face_quality", *shlex.split(line, comments=True)[1:])
    assert outcome.status == 0 and outcome.stdout, outcome.stderr


def test_the_other_commands_are_known():
    others = [line for line in LINES if not line.startswith("face-quality")]
    assert others[0] == "uv tool install ./packages/face-quality"
    for line in others[1:]:
        words = shlex.split(line, comments=True)
        assert words[0] == "vitrail" and words[1] in ("train", "evaluate", "export")
        if words[1] != "export":
            assert (ROOT / words[2]).is_file()
