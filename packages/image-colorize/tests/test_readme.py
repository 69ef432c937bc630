"""Every command of the README runs."""

import shlex
from pathlib import Path

import pytest

from vitrail.testing.commands import call, console_lines

PACKAGE = Path(__file__).parents[1]
LINES = console_lines(PACKAGE / "README.md")


@pytest.mark.parametrize("line", LINES)
def test_a_line_runs(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "packages").symlink_to(PACKAGE.parent)
    command, *arguments = shlex.split(line)
    assert command == "image-colorize"
    outcome = call("image_colorize", *arguments, "--engine", "eager")
    assert outcome.status == 0, outcome.stderr
