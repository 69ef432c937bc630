"""The bundled networks on cases that they never saw, with room below the figures of the model
card."""

import json

import numpy as np
import pytest

from medical_segment import load
from medical_segment.files.reading import read_case
from medical_segment.scores import count_cells, dice


@pytest.mark.parametrize("name", ["hippocampus", "hippocampus-xlstm"])
def test_hippocampus(name, data):
    folder = data / "hippocampus"
    case = json.loads((folder / "splits.json").read_text())["test"][0]
    result = load(name, engine="eager", device="cpu").predict(folder / "images" / case)
    truth = read_case(folder / "labels" / case).data[0]
    assert result.labels.shape == truth.shape
    assert np.mean([dice(result.labels == part, truth == part) for part in (1, 2)]) > 0.75


def test_nuclei(data):
    folder = data / "nuclei_dsb2018"
    case = json.loads((folder / "splits.json").read_text())["test"][1]
    job = load("nuclei", engine="eager", device="cpu")
    result = job.predict(folder / "images" / f"{case}.png")
    truth = read_case(folder / "instances" / f"{case}.png").data[0]
    assert dice(result.instances > 0, truth > 0) > 0.8
    assert count_cells(result.instances, truth)[0].f1 > 0.6
