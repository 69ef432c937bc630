"""Hundreds of damaged inputs: a result or one sentence, never a traceback, never a stray file."""

import json
import warnings

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from medical_segment.files.finding import case_of
from medical_segment.writing import write
from vitrail.answers import Answers
from vitrail.options import Answering
from vitrail.testing.mutants import mutate_bytes

from .fakes import PLAN_2D, PLAN_3D, small_job, write_dicom_series

VARIANTS, CUTS = 200, 10


def good_scan(tmp_path, blob, suffix) -> bytes:
    path = tmp_path / f"good{suffix}"
    nibabel.save(nibabel.Nifti1Image(blob[:8, :8, :8], np.eye(4)), path)
    return path.read_bytes()


def good_image(tmp_path, suffix) -> bytes:
    path = tmp_path / f"good{suffix}"
    values = np.random.default_rng(0).integers(0, 60000, (2, 20, 24)).astype(np.uint16)
    if suffix == ".png":
        Image.fromarray((values[0] // 256).astype(np.uint8)).save(path)
    else:
        tifffile.imwrite(path, values, compression="zlib")
    return path.read_bytes()


def check(job, sources, tmp_path, capfd, monkeypatch) -> list[dict]:
    """Runs all sources; returns the rows. Whatever fails does so with a reason, in one line."""
    monkeypatch.setattr("sys.argv", ["medical-segment"])
    before = set(tmp_path.rglob("*"))
    cases = [case_of(path, 1) for path in sources]
    with warnings.catch_warnings(action="error"):  # they would repeat what is in the file
        status = Answers("medical-segment", job, Answering(json=True), write).run(cases)
    printed = capfd.readouterr()
    rows = [json.loads(line) for line in printed.out.splitlines()]
    failed = [row for row in rows if row["status"] == "failed"]
    assert len(rows) == len(sources) and status == (1 if failed else 0)
    assert not [
        row["reason"] for row in failed if "unexpected" in row["reason"] or not row["reason"]
    ]
    assert len(printed.err.splitlines()) == len(failed), printed.err
    assert set(tmp_path.rglob("*")) == before
    return rows


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".png", ".tif"])
def test_damaged_files(suffix, tmp_path, blob, capfd, monkeypatch):
    scan = suffix.startswith(".nii")
    data = good_scan(tmp_path, blob, suffix) if scan else good_image(tmp_path, suffix)
    (tmp_path / f"good{suffix}").unlink()
    sources = []
    for number, damaged in enumerate(mutate_bytes(data, seed=7, count=VARIANTS)):
        sources.append(tmp_path / f"{number}{suffix}")
        sources[-1].write_bytes(damaged)
    rows = check(
        small_job(PLAN_3D if scan else PLAN_2D, overlap=0), sources, tmp_path, capfd, monkeypatch
    )
    assert any(row["status"] == "failed" for row in rows)


def test_damaged_headers(tmp_path, blob, capfd, monkeypatch):
    """Where most damage to a scan does its worst: in the 348 bytes of its header."""
    data = good_scan(tmp_path, blob, ".nii")
    sources = []
    for number, damaged in enumerate(mutate_bytes(data[:352], seed=11, count=VARIANTS)):
        sources.append(tmp_path / f"{number}.nii")
        sources[-1].write_bytes(damaged + data[352:])
    check(small_job(overlap=0), sources, tmp_path, capfd, monkeypatch)


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_slices(compressed, tmp_path, blob, capfd, monkeypatch):
    folder = write_dicom_series(tmp_path / "good", np.tile(blob[:8, :8, :2], (5, 5, 1)))
    if compressed:
        openjpeg = pytest.importorskip("openjpeg")
        assert openjpeg
        for path in folder.iterdir():
            _compress(path)
    slices = {path.name: path.read_bytes() for path in folder.iterdir()}
    sources = []
    for number, damaged in enumerate(mutate_bytes(slices["1.dcm"], seed=3, count=VARIANTS)):
        sources.append(tmp_path / f"case {number}")
        sources[-1].mkdir()
        (sources[-1] / "1.dcm").write_bytes(damaged)
        (sources[-1] / "2.dcm").write_bytes(slices["2.dcm"])
    rows = check(small_job(overlap=0), sources, tmp_path, capfd, monkeypatch)
    assert any(row["status"] == "failed" for row in rows)


def _compress(path) -> None:
    import pydicom
    from pydicom.uid import JPEG2000Lossless

    found = pydicom.dcmread(path)
    found.compress(JPEG2000Lossless)
    found.save_as(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".png", ".tif"])
def test_a_file_cut_anywhere_is_never_half_a_result(suffix, tmp_path, blob, capfd, monkeypatch):
    scan = suffix.startswith(".nii")
    data = good_scan(tmp_path, blob, suffix) if scan else good_image(tmp_path, suffix)
    sources = []
    for number in range(CUTS):
        sources.append(tmp_path / f"cut {number}{suffix}")
        sources[-1].write_bytes(data[: len(data) * number // CUTS])
    rows = check(
        small_job(PLAN_3D if scan else PLAN_2D, overlap=0), sources, tmp_path, capfd, monkeypatch
    )
    assert all(row["status"] == "failed" for row in rows), rows


@pytest.mark.parametrize("suffix", [".png", ".tif", ".nii", ".dcm"])
def test_something_else_under_a_good_name(suffix, tmp_path, capfd, monkeypatch):
    kinds = [
        b"%PDF-1.7 nothing",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\x5c\x01\0\0",
        b"II*\0\xff\xff\xff\xff",
    ]
    sources = [tmp_path / f"{number}{suffix}" for number in range(len(kinds))]
    for path, content in zip(sources, kinds, strict=True):
        path.write_bytes(content)
    rows = check(small_job(overlap=0), sources, tmp_path, capfd, monkeypatch)
    assert all(row["status"] == "failed" for row in rows)
