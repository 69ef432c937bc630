"""The MONAI Bundle: MONAI's own command runs it and gives the command's mask."""

import json
import subprocess
import sys

import nibabel
import numpy as np
import pytest

from medical_segment import load
from vitrail.testing.commands import call

pytest.importorskip("fire")
pytest.importorskip("ignite")


@pytest.mark.timeout(900)  # two imports of MONAI, a minute on a busy machine
def test_monai_runs_the_bundle(tiny_weights, tmp_path, blob):
    outcome = call(
        "vitrail",
        "export",
        "medical-segment",
        "--bundle",
        "-o",
        tmp_path,
        "--weights",
        tiny_weights,
    )
    assert outcome.status == 0, outcome.stderr
    (folder,) = tmp_path.iterdir()
    assert outcome.stdout.strip() == str(folder)
    (folder / "input").mkdir()
    case = folder / "input" / "case.nii.gz"
    nibabel.save(
        nibabel.Nifti1Image(blob, np.diag([-1.0, 1, 1.5, 1])), case
    )  # to be turned and resampled
    command = [
        sys.executable,
        "-m",
        "monai.bundle",
        "run",
        "--config_file",
        "configs/inference.json",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    made = nibabel.load(folder / "output" / "case_labels.nii.gz")
    job = load(tiny_weights, engine="eager", device="cpu")
    assert np.array_equal(np.asarray(made.dataobj), job.predict(case).labels)
    assert np.array_equal(made.affine, nibabel.load(case).affine)
    facts = json.loads((folder / "configs" / "metadata.json").read_text())
    assert facts["network_data_format"]["outputs"]["pred"]["channel_def"]["1"] == "anterior"
    assert "Not a medical device" in facts["intended_use"]


def test_a_system_without_bundles(tmp_path):
    outcome = call("vitrail", "export", "faces", "--bundle", "-o", tmp_path)
    assert outcome.status == 3 and "has no bundle" in outcome.stderr
