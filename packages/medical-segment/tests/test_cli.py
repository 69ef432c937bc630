"""The command: what it prints, writes and refuses."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image

from vitrail.testing.commands import call

from .fakes import PLAN_2D, PLAN_3D, PLAN_REGIONS, small_network


@pytest.fixture
def segment(tiny_weights):
    return lambda *arguments: call(
        "medical_segment", *arguments, "--weights", tiny_weights, "--engine", "eager"
    )


@pytest.fixture
def with_network(monkeypatch):
    """Runs the command with a network that goes by brightness."""

    def run(plan, *arguments):
        from medical_segment import networks

        monkeypatch.setattr(networks, "load_network", lambda name: small_network(plan))
        return call("medical_segment", *arguments, "--engine", "eager")

    return run


def rows(outcome) -> list[dict]:
    return [json.loads(line) for line in outcome.stdout.splitlines()]


def test_a_scan_into_a_folder(segment, scan, tmp_path):
    outcome = segment(
        scan, "-o", tmp_path / "out", "--probabilities", "--mirror", "--largest", "--fill-holes"
    )
    assert outcome.status == 0, outcome.stderr
    (row,) = rows(outcome)
    assert row["shape"] == [20, 26, 18] and row["structures"].keys() == {"anterior", "posterior"}
    assert "Not a medical device" in row["notice"] and row["options"]["mirror"]
    folder = tmp_path / "out" / "scan.nii.gz"
    assert {path.name for path in folder.iterdir()} == {
        "labels.nii.gz",
        "probabilities.nii.gz",
        "volumes.csv",
        "overview.png",
        "viewer.html",
        "result.json",
    }
    labels, scores = (
        nibabel.load(folder / f"{name}.nii.gz") for name in ("labels", "probabilities")
    )
    assert labels.get_data_dtype() == np.uint8 and scores.shape == (20, 26, 18, 3)
    assert np.array_equal(labels.affine, nibabel.load(scan).affine) and np.array_equal(
        scores.affine, labels.affine
    )
    assert np.allclose(np.asarray(scores.dataobj).sum(axis=-1), 1, atol=1e-5)
    head, first, _ = (folder / "volumes.csv").read_text().splitlines()
    assert head == "name,value,voxels,ml,voxel_mm" and first.endswith(",1 x 1 x 1")
    assert row["voxel_ml"] == 0.001


def test_cells_into_a_folder(with_network, tmp_path):
    image = np.full((50, 60, 3), 10, np.uint8)
    image[5:45, 5:25] = image[5:40, 30:50] = 250
    Image.fromarray(image).save(tmp_path / "cells.png")
    outcome = with_network(PLAN_2D, tmp_path / "cells.png", "-o", tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    folder = tmp_path / "out" / "cells.png"
    instances = np.asarray(Image.open(folder / "instances.png"))
    head, *lines = (folder / "objects.csv").read_text().splitlines()
    assert (
        instances.shape == (50, 60)
        and instances.max() == len(lines) == rows(outcome)[0]["objects"] == 2
    )
    assert head == "number,page,area,row,column,mean_intensity"
    assert {path.name for path in folder.iterdir()} >= {"labels.png", "overview.png", "viewer.html"}


def test_pages_into_a_folder(with_network, tmp_path):
    pages = np.random.default_rng(0).integers(0, 999, (3, 40, 41)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack")
    outcome = with_network(PLAN_2D, tmp_path / "a.tif", "-o", tmp_path / "out", "--probabilities")
    assert outcome.status == 0, outcome.stderr
    folder = tmp_path / "out" / "a.tif"
    assert tifffile.imread(folder / "labels.tif").shape == (3, 40, 41)
    assert tifffile.imread(folder / "instances.tif").dtype == np.uint16
    assert tifffile.imread(folder / "probabilities.tif").shape == (3, 3, 40, 41)


def test_several_modalities(with_network, tmp_path, blob):
    files = [tmp_path / f"{name}.nii" for name in ("flair", "t1", "t1c", "t2")]
    for file in files:
        nibabel.save(nibabel.Nifti1Image(blob, np.eye(4)), file)
    arguments = (*files, "--together", "--convention", "brats", "-o", tmp_path / "out")
    outcome = with_network(PLAN_REGIONS, *arguments)
    assert outcome.status == 0 and len(rows(outcome)) == 1, outcome.stderr
    assert (tmp_path / "out" / "flair.nii" / "region-WT.nii.gz").is_file()
    assert "1 of 1 done before" in with_network(PLAN_REGIONS, *arguments, "--resume").stderr
    nibabel.save(nibabel.Nifti1Image(blob + 1, np.eye(4)), files[2])
    assert "done before" not in with_network(PLAN_REGIONS, *arguments, "--resume").stderr
    assert with_network(PLAN_REGIONS, *files[:3], "--together").status == 2


def test_resume_sees_a_changed_series(segment, series, tmp_path):
    assert segment(series, "-o", tmp_path / "out").status == 0
    assert "1 of 1 done before" in segment(series, "-o", tmp_path / "out", "--resume").stderr
    assert (
        "done before" not in segment(series, "-o", tmp_path / "out", "--resume", "--largest").stderr
    )
    (series / "18.dcm").unlink()
    again = segment(series, "-o", tmp_path / "out", "--resume")
    assert rows(again)[0]["shape"] == [20, 26, 17]


def test_resume_sees_changed_numbers_beside_their_header(segment, blob, tmp_path):
    itk = pytest.importorskip("SimpleITK")
    header, out = tmp_path / "scan.mhd", tmp_path / "out"
    itk.WriteImage(itk.GetImageFromArray(blob.astype(np.int16)), str(header))
    outcome = segment(header, "-o", out)
    assert outcome.status == 0, outcome.stderr
    assert "1 of 1 done before" in segment(header, "-o", out, "--resume").stderr
    assert "scan.raw" not in segment(tmp_path, "-o", tmp_path / "second").stderr
    numbers = bytearray((tmp_path / "scan.raw").read_bytes())
    numbers[1000] ^= 1
    (tmp_path / "scan.raw").write_bytes(numbers)
    assert "done before" not in segment(header, "-o", out, "--resume").stderr


def test_a_result_never_takes_the_place_of_its_series(segment, series):
    before = sorted(series.iterdir())
    outcome = segment(series, "-o", series.parent)
    assert outcome.status == 2 and "replaced by its own result" in outcome.stderr
    assert sorted(series.iterdir()) == before


def test_a_folder_of_cases(segment, scan, series, tmp_path):
    shutil.copy(scan, tmp_path / "a.nii.gz")
    outcome = segment(tmp_path, "--series", "1")
    assert outcome.status == 0, outcome.stderr
    assert [Path(row["source"]).name for row in rows(outcome)] == [
        "a.nii.gz",
        "scan.nii.gz",
        "series",
    ]


def test_an_empty_folder(segment, tmp_path):
    outcome = segment(tmp_path)
    assert outcome.status == 1 and "no scan and no image" in outcome.stderr


def test_a_bad_argument_is_a_row_and_the_others_are_done(segment, scan, tmp_path):
    (tmp_path / "loop.nii").symlink_to("loop.nii")
    (tmp_path / "none").mkdir()
    bad = "http://host/a.nii", tmp_path / "none", tmp_path / "*.mha", tmp_path / "loop.nii"
    outcome = segment(*bad, scan)
    found = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert outcome.status == 1 and [row["status"] for row in found] == ["failed"] * 4 + ["done"]
    assert [row["source"] for row in found[:4]] == [str(path) for path in bad]
    assert "symbolic links" in found[3]["reason"]


def test_dicom_seg_is_for_dicom(segment, scan):
    pytest.importorskip("highdicom")
    outcome = segment(scan, "--dicom-seg")
    assert outcome.status == 1 and "not a DICOM series" in outcome.stderr


def test_a_dicom_seg_of_nothing_is_a_label_map_and_a_word(with_network, series, tmp_path):
    pytest.importorskip("highdicom")
    for path in series.iterdir():
        found = pydicom.dcmread(path)
        found.PixelData = bytes(len(found.PixelData))
        found.save_as(path)
    outcome = with_network(PLAN_3D, series, "--dicom-seg", "-o", tmp_path / "out")
    (row,) = rows(outcome)
    assert outcome.status == 0 and "no structure was found" in row["damage"][0]
    written = {path.name for path in (tmp_path / "out" / "series").iterdir()}
    assert "labels.nii.gz" in written and "segmentation.dcm" not in written


def test_a_series_without_its_frame_fails_alone(with_network, series, scan, tmp_path):
    pytest.importorskip("highdicom")
    shutil.copytree(series, tmp_path / "whole")
    for path in series.iterdir():
        found = pydicom.dcmread(path)
        del found.FrameOfReferenceUID
        found.save_as(path)
    outcome = with_network(
        PLAN_3D, series, scan, tmp_path / "whole", "--dicom-seg", "-o", tmp_path / "out"
    )
    assert [row["status"] for row in rows(outcome)] == ["failed", "failed", "done"]
    assert "lacks identifiers that a DICOM-SEG refers to" in rows(outcome)[0]["reason"]
    assert (tmp_path / "out" / "whole" / "segmentation.dcm").is_file()


def test_nifti_2_among_others(with_network, blob, scan, tmp_path):
    nibabel.save(nibabel.Nifti2Image(blob, np.eye(4)), tmp_path / "two.nii.gz")
    outcome = with_network(PLAN_3D, tmp_path / "two.nii.gz", scan, "-o", tmp_path / "out")
    assert [row["status"] for row in rows(outcome)] == ["done", "done"], outcome.stderr


def test_the_help_says_what_it_is_not():
    outcome = call("medical_segment", "--help")
    assert "Not a medical device" in outcome.stdout and "not for diagnosis" in " ".join(
        outcome.stdout.split()
    )
