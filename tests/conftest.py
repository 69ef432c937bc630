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


@pytest.fixture(scope="session")
def examples(tmp_path_factory) -> Path:
    """Where the packages' examples are copied to: some commands write beside their input."""
    return tmp_path_factory.mktemp("examples")


@pytest.fixture
def example(command: System, examples: Path) -> Path:
    """A small good input of the command, which its package brings."""
    folder = ROOT / "packages" / command.command / "examples"
    inputs = [
        file for file in sorted(folder.iterdir()) if file.suffix not in {".py", ".txt", ".md"}
    ]
    assert inputs, f"{folder} holds no example input"
    copy = examples / command.command
    if not copy.exists():
        shutil.copytree(folder, copy)
    return copy / inputs[0].name
