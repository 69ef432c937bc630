"""The workspace: pins, environments, members, and what must not be committed."""

import configparser
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))


def read(path: Path) -> dict:
    return tomllib.loads(path.read_text())


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_both_lists_of_pins_are_the_same():
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.strip()]
    assert read(ROOT / "pyproject.toml")["tool"]["uv"]["constraint-dependencies"] == pins
    assert all(re.match(r"[\w.\-]+==[\w.\-+!]+( ; .+)?$", pin) for pin in pins)


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)
def test_a_package_has_one_name_everywhere(folder):
    project = read(folder / "pyproject.toml")["project"]
    assert project["name"] == f"vitrail-{folder.name}"
    assert folder.name in project["scripts"]
    assert folder.name in project["entry-points"]["vitrail.systems"]
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini")
    assert folder.name in tox["tox"]["env_list"]
    assert f"packages/{folder.name}/tests" in tox[f"testenv:{folder.name}"]["commands"]
    for shared in ("types", "house"):
        assert re.search(rf"/packages/{folder.name}\b", tox[f"testenv:{shared}"]["deps"]), shared
    assert (folder / "README.md").is_file()
    assert f"`{folder.name}`" in (ROOT / "README.md").read_text()


def test_readme_has_two_commands_and_ci_runs_the_second():
    block = (
        re.search(r"```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        .group(1)
        .splitlines()
    )
    assert len(block) == 2
    run, test = block
    assert "deepfake-detect" in run and (ROOT / run.split()[-1]).is_file()
    runner = test.split(" tox ")[1].split()
    assert runner[0] == "run-parallel" and "-e" not in runner  # every environment
    assert "README.md" in (ROOT / ".ci/run").read_text()


def test_no_registry_and_no_lock_is_committed():
    names = {path.name for path in tracked()}
    assert not names & {"uv.lock", "pylock.toml"}
    for path in tracked():
        if (
            path.suffix in {".py", ".toml", ".txt", ".md", ".ini", ".yaml", ".cfg"}
            or path.name == "run"
        ):
            text = path.read_text()
            assert not re.search(r"index-url\s*=|https?://[^\s)\"]*/simple", text), path


def test_only_small_files_are_committed():
    """Bundled weights may have 12 MB; everything else is far smaller."""
    for path in tracked():
        limit = 12_000_000 if path.suffix == ".safetensors" else 1_000_000
        assert path.stat().st_size <= limit, path
