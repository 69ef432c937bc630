"""The bundled networks on cases that they never saw, with room below the figures of the model
card."""

import json
from pathlib import Path

import numpy as np
import pytest

from medical_segment import load
from medical_segment.files.reading import read_case
from medical_segment.scores import count_cells, dice
from vitrail.testing.beside import needs

from .fakes import MEDICAL

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_examples():
    """Anywhere: what was found in them when the model card was written."""
    result = load(engine="eager", device="cpu").predict(EXAMPLES / "hippocampus.nii.gz")
    assert [s.voxels for s in result.structures] == pytest.approx([1280, 1706], rel=0.01)
    cells = load("nuclei", engine="eager", device="cpu").predict(EXAMPLES / "nuclei.png")
    assert abs(len(cells.things) - 50) <= 2


@needs(MEDICAL)
@pytest.mark.parametrize("name", ["hippocampus", "hippocampus-xlstm"])
def test_hippocampus(name):
    folder = MEDICAL / "hippocampus"
    case = json.loads((folder / "splits.json").read_text())["test"][0]
    result = load(name, engine="eager", device="cpu").predict(folder / "images" / case)
    truth = read_case(folder / "labels" / case).data[0]
    assert result.labels.shape == truth.shape
    assert np.mean([dice(result.labels == part, truth == part) for part in (1, 2)]) > 0.75


@needs(MEDICAL)
def test_nuclei():
    folder = MEDICAL / "nuclei_dsb2018"
    case = json.loads((folder / "splits.json").read_text())["test"][1]
    job = load("nuclei", engine="eager", device="cpu")
    result = job.predict(folder / "images" / f"{case}.png")
    truth = read_case(folder / "instances" / f"{case}.png").data[0]
    assert dice(result.instances > 0, truth > 0) > 0.8
    assert count_cells(result.instances, truth)[0].f1 > 0.6
