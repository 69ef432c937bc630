"""Every command in the package's README runs."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from vitrail.testing.beside import DATA, needs
from vitrail.testing.commands import call, console_lines

from .fakes import MEDICAL, write_dicom_series

ROOT = Path(__file__).parents[3]
PACKAGE = Path(__file__).parents[1]
LINES = console_lines(PACKAGE / "README.md")


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """A folder with the files that the README speaks of."""
    for path in (PACKAGE / "examples").glob("*.*"):
        shutil.copy(path, tmp_path)
    (tmp_path / "cases").mkdir()
    shutil.copy(tmp_path / "hippocampus.nii.gz", tmp_path / "cases")
    values = np.asarray(nibabel.load(tmp_path / "hippocampus.nii.gz").dataobj)
    write_dicom_series(tmp_path / "series", values.astype(np.int16))
    (tmp_path / "pipelines").symlink_to(ROOT / "pipelines")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VITRAIL_DATA", str(DATA))
    return tmp_path


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("medical-segment")])
def test_a_command_of_the_job(workplace, line):
    if "--dicom-seg" in line:
        pytest.importorskip("highdicom")
    if "--outlines" in line:
        pytest.importorskip("roifile")
    outcome = call("medical_segment", *shlex.split(line, comments=True)[1:])
    assert outcome.status == 0 and '"status": "done"' in outcome.stdout, outcome.stderr
    if "-o" in line:
        assert list(workplace.glob("results/*/viewer.html"))


def test_python_as_in_the_readme(workplace):
    (code,) = re.findall(r"```python\n(.*?)```", (PACKAGE / "README.md").read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=workplace
    )
    assert done.returncode == 0 and "(35, 51, 35)" in done.stdout, done.stderr


@pytest.fixture
def few_cases(workplace) -> Path:
    """The data sets' lists cut down to a few cases."""
    folder = MEDICAL / "hippocampus"
    target = workplace / "medical" / "hippocampus"
    target.mkdir(parents=True)
    for name in ("images", "labels"):
        (target / name).symlink_to(folder / name)
    facts = json.loads((folder / "dataset.json").read_text())
    splits = json.loads((folder / "splits.json").read_text())
    splits = {name: cases[:2] for name, cases in splits.items()}
    kept = {case for cases in splits.values() for case in cases}
    for key in ("training", "test_with_labels"):
        facts[key] = [pair for pair in facts[key] if Path(pair["image"]).name in kept]
    (target / "dataset.json").write_text(json.dumps(facts))
    (target / "splits.json").write_text(json.dumps(splits))
    return workplace


@needs(MEDICAL)
@pytest.mark.parametrize(
    "line", [line for line in LINES if line.startswith(("vitrail train", "vitrail evaluate"))]
)
def test_a_recipe(few_cases, line, monkeypatch):
    monkeypatch.setenv("VITRAIL_DATA", str(few_cases))
    words = shlex.split(line, comments=True)[1:]
    outcome = call("vitrail", *words, "--set", "budget={steps: 2}", "--set", "optim.batch_size=2")
    assert outcome.status == 0 and outcome.stdout, outcome.stderr


def test_exports(workplace):
    onnx, bundle = [line for line in LINES if line.startswith("vitrail export")]
    outcome = call("vitrail", *shlex.split(bundle, comments=True)[1:])
    assert outcome.status == 0 and list(workplace.glob("bundles/*/configs/inference.json")), (
        outcome.stderr
    )
    pytest.importorskip("onnx")
    outcome = call("vitrail", *shlex.split(onnx, comments=True)[1:])
    assert outcome.status == 0 and list(workplace.glob("onnx/*.onnx")), outcome.stderr


def test_the_other_commands_install_the_package():
    others = [line for line in LINES if not line.startswith(("medical-segment", "vitrail"))]
    assert others == ["uv tool install ./packages/medical-segment"]
    assert (ROOT / others[0].split()[-1] / "pyproject.toml").is_file()
