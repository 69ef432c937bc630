"""Every command in the package's README runs."""

import csv
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from audio_classify.training.voices import COLUMNS, UNKNOWN
from vitrail.testing.beside import DATA, needs
from vitrail.testing.commands import call, console_lines

from .fakes import tone

ROOT = Path(__file__).parents[3]
PACKAGE = Path(__file__).parents[1]
LINES = console_lines(PACKAGE / "README.md")


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """A folder with the files that the README speaks of."""
    rooster = PACKAGE / "examples" / "rooster.ogg"
    shutil.copy(rooster, tmp_path)
    (tmp_path / "recordings").mkdir()
    shutil.copy(rooster, tmp_path / "recordings")
    soundfile.write(tmp_path / "seven.wav", tone(300, 0.5, 8000), 8000)
    (tmp_path / "pipelines").symlink_to(ROOT / "pipelines")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VITRAIL_DATA", str(DATA))
    return tmp_path


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("audio-classify")])
def test_a_command_of_the_job(workplace, line):
    outcome = call("audio_classify", *shlex.split(line, comments=True)[1:])
    assert outcome.status == 0 and outcome.stdout, outcome.stderr
    assert "--search" in line or '"status": "done"' in outcome.stdout


@pytest.fixture
def few_sounds(workplace) -> Path:
    """The lists of the data sets cut down to a few clips."""
    folder = DATA / "audio"
    (workplace / "audio").mkdir()
    for name in ("esc10", "fsdd"):
        head, *rows = (folder / f"{name}.csv").read_text().splitlines()
        (workplace / "audio" / f"{name}.csv").write_text(
            "\n".join([head, *rows[:: len(rows) // 30]]) + "\n"
        )
        (workplace / "audio" / name).symlink_to(folder / name)
    (workplace / "voices").mkdir()
    for name in ("digits", "elsewhere"):
        with (workplace / "voices" / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *some_voices(folder)])
    return workplace


def some_voices(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    """Rows as the lists of the voices have them: digits of two voices, and noises in the place of
    other words."""
    for digit in "0123":
        for take in (0, 5):
            split = "train" if take else "test"
            yield f"{folder}/fsdd/{digit}_george_{take}.wav", digit, "george", split
            yield f"{folder}/fsdd/{digit}_theo_{take}.wav", digit, "lucas", split
    groups = ("alexa", "snowboy", "fold 2", "fold 3")
    for group, path in zip(groups, sorted((folder / "esc10" / "rain").iterdir()), strict=False):
        yield str(path), UNKNOWN, group, "test" if group == "fold 3" else "train"


@needs(DATA / "audio")
@pytest.mark.parametrize(
    "line", [line for line in LINES if line.startswith(("vitrail train", "vitrail evaluate"))]
)
def test_a_recipe(few_sounds, line, monkeypatch):
    monkeypatch.setenv("VITRAIL_DATA", str(few_sounds))
    words = shlex.split(line, comments=True)[1:]
    outcome = call("vitrail", *words, "--set", "budget={steps: 2}", "--set", "optim.batch_size=4")
    assert outcome.status == 0 and outcome.stdout, outcome.stderr


def test_exports(workplace):
    (line,) = [line for line in LINES if line.startswith("vitrail export")]
    outcome = call("vitrail", *shlex.split(line, comments=True)[1:])
    assert outcome.status == 0 and len(list(workplace.rglob("*.onnx"))) == 2, outcome.stderr


def test_the_other_commands_install_the_package():
    others = [line for line in LINES if not line.startswith(("audio-classify", "vitrail"))]
    assert others == ["uv tool install ./packages/audio-classify"]
    assert (ROOT / others[0].split()[-1] / "pyproject.toml").is_file()
