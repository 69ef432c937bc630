"""Every test here that asks for ``command`` runs once for each installed system that has one."""

import shutil
from pathlib import Path

import pytest

from vitrail.system import System, systems

ROOT = Path(__file__).parents[1]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "system" in metafunc.fixturenames:
        metafunc.parametrize("system", systems().values(), ids=lambda system: system.name)
    if "command" in metafunc.fixturenames:
        commands = [system for system in systems().values() if system.command]
        metafunc.parametrize("command", commands, ids=lambda system: system.name)


@pytest.fixture
def example(command: System, tmp_path_factory) -> Path:
    """A small good input of the command, which its package brings, in a copy of its folder: some
    commands write beside their input."""
    folder = tmp_path_factory.mktemp("examples") / command.command
    shutil.copytree(ROOT / "packages" / command.command / "examples", folder)
    inputs = [
        file for file in sorted(folder.iterdir()) if file.suffix not in {".py", ".txt", ".md"}
    ]
    assert inputs, f"{folder} holds no example input"
    return inputs[0]
