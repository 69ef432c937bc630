"""A short job loads what it needs and nothing else; the second call not even PyTorch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vitrail.system import System

NEVER = {"timm", "torchvision", "torch._dynamo", "lightning", "sklearn", "matplotlib", "pandas"}
CORE_ROOMS = ("training", "testing", "export", "bench", "faces.training", "faces.evaluation")
ROOMS = ("data", "training", "evaluation", "parity")


def loaded(command: System, example: Path, cache: Path) -> set[str]:
    """The modules that a fresh interpreter has after the command's job."""
    code = f"""
import sys
sys.argv = ["{command.command}", *{command.job!r}, r"{example}", "--quiet", "--json"]
from {command.package}.cli import main
try:
    main()
except SystemExit as stop:
    if not stop.code:  # of a job that failed, standard error tells why and nothing else
        print(*sorted(sys.modules), sep="\\n", file=sys.stderr)
    raise
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "VITRAIL_CACHE": str(cache)},
    )
    assert done.returncode == 0 and '"status": "done"' in done.stdout, done.stderr[-2000:]
    return set(done.stderr.splitlines())


@pytest.fixture(scope="module")
def calls() -> dict[str, list[set[str]]]:
    """What was found of each command, so that its job runs twice and no more."""
    return {}


@pytest.fixture
def two_calls(command: System, example, calls, tmp_path_factory) -> list[set[str]]:
    if command.name not in calls:
        cache = tmp_path_factory.mktemp("cache")
        calls[command.name] = [loaded(command, example, cache) for _ in range(2)]
    return calls[command.name]


def test_the_first_call_loads_nothing_of_training(command: System, two_calls):
    rooms = {f"{command.package}.{room}" for room in ROOMS}
    rooms |= {f"vitrail.{room}" for room in CORE_ROOMS}
    assert sorted(two_calls[0] & (NEVER | rooms)) == []


def test_the_second_call_does_not_load_pytorch(command: System, two_calls):
    assert "torch" not in two_calls[1]
