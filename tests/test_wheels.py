"""The wheels as strangers get them: built, installed together into an empty environment, run."""

import json
import os
import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from uv import find_uv_bin

from vitrail.system import System, systems

ROOT = Path(__file__).parents[1]
PROJECTS = [
    ROOT / "shared",
    *sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml")),
]


def uv(*arguments: object) -> None:
    done = subprocess.run(
        [find_uv_bin(), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "UV_CONSTRAINT": str(ROOT / "constraints.txt")},
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("wheels")
    for project in PROJECTS:
        uv("build", "--quiet", "--wheel", "--out-dir", folder, project)
    return sorted(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheels, tmp_path_factory) -> Path:
    """The folder of an environment that holds every wheel of ours and what they ask for.

    Our names are looked for in the folder of the wheels alone; that others are found there too
    shows that no wheel of ours asks for a name that is somebody else's.
    """
    folder = tmp_path_factory.mktemp("environment") / "venv"
    uv("venv", "--quiet", "--python", sys.executable, folder)
    python = ["--quiet", "--python", folder]
    uv("pip", "install", *python, *wheels)
    return folder / "bin"


def fields(wheel: Path) -> tuple[list[str], dict[str, list[str]]]:
    """The names of a wheel's files, and its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (place,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        parsed = Parser().parsestr(archive.read(place).decode())
    return names, {key: parsed.get_all(key) for key in parsed}


def test_every_wheel_says_what_it_is(wheels):
    assert len(wheels) == len(PROJECTS)
    for wheel in wheels:
        names, metadata = fields(wheel)
        assert metadata["Name"][0].split("-")[0] == "vitrail"
        assert metadata["License-Expression"] == ["Apache-2.0"] and metadata["License-File"]
        assert metadata["Author"] and metadata["Classifier"] and metadata["Summary"]
        assert metadata["Description-Content-Type"] == ["text/markdown"]
        assert any(name.endswith("/py.typed") for name in names)
        assert not [name for name in names if "/tests/" in name or name.endswith("conftest.py")]


def test_wheels_ask_for_one_another_by_version(wheels):
    for wheel in wheels:
        for line in fields(wheel)[1].get("Requires-Dist", []):
            if re.match(r"vitrail\b", line):
                assert re.match(r"vitrail(\[[\w,-]+\])?<0\.2,>=0\.1(;| ;|$)", line), line


def test_the_generic_command_lists_every_system(environment):
    said = subprocess.run([environment / "vitrail", "list"], capture_output=True, text=True)
    listed = {json.loads(line)["name"] for line in said.stdout.splitlines()}
    assert said.stderr == "" and listed == set(systems())


def test_help_and_the_job_of_the_readme(command: System, example, environment, tmp_path_factory):
    program = environment / command.command
    said = subprocess.run([program, *command.job, "--help"], capture_output=True, text=True)
    assert said.returncode == 0 and command.command in said.stdout
    folder = tmp_path_factory.mktemp("cache")
    done = subprocess.run(
        [program, *command.job, example, "--json", "--quiet"],
        capture_output=True,
        text=True,
        env={**os.environ, "VITRAIL_CACHE": str(folder)},
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "done"
