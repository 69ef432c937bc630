"""Which files are a case: nothing below a folder is lost, and nothing is taken twice."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from medical_segment.files.finding import find_cases
from medical_segment.files.reading import read_source
from vitrail.errors import InputError
from vitrail.testing.commands import call

from .fakes import write_dicom_series


@pytest.fixture
def segment(tiny_weights):
    return lambda *arguments: call(
        "medical_segment", *arguments, "--weights", tiny_weights, "--engine", "eager"
    )


def found(*arguments, num_channels=1) -> list:
    return find_cases([*map(str, arguments)], num_channels)


def names(cases, folder) -> list[str]:
    return [str(Path(case.name).relative_to(folder)) for case in cases]


def test_results_among_the_cases_are_not_taken_for_scans(segment, scan, tmp_path, monkeypatch):
    (tmp_path / "cases").mkdir()
    shutil.move(scan, tmp_path / "cases")
    monkeypatch.chdir(tmp_path)
    first = segment("cases", "-o", "cases/results")
    again = segment("cases", "-o", "cases/results")
    assert (first.status, again.status) == (0, 0)
    assert [json.loads(line)["source"] for line in again.stdout.splitlines()] == [
        "cases/scan.nii.gz"
    ]
    assert "1 left out, earlier results: results/scan.nii.gz" in again.stderr
    alone = segment("cases/results")
    assert alone.status == 1 and "nothing but earlier results" in alone.stderr


def test_a_link_to_the_folder_itself_is_walked_once(scan, tmp_path):
    (tmp_path / "again").symlink_to(".")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "up").symlink_to("..")
    assert names(found(tmp_path), tmp_path) == ["scan.nii.gz"]


def test_a_disc_with_its_index(tmp_path, blob):
    """As a hospital hands it out: DICOMDIR beside a tree of series."""
    disc = tmp_path / "disc"
    for number in range(2):
        write_dicom_series(disc / "DICOM" / "ST0" / f"SE{number}", blob, name="IM{}")
    index = pydicom.Dataset()
    index.file_meta = pydicom.dataset.FileMetaDataset()
    index.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    index.file_meta.MediaStorageSOPClassUID = pydicom.uid.MediaStorageDirectoryStorage
    index.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    index.save_as(disc / "DICOMDIR", enforce_file_format=True)
    cases = found(disc)
    assert names(cases, disc) == ["DICOM/ST0/SE0", "DICOM/ST0/SE1"]
    assert all(read_source(case).shape == blob.shape for case in cases)
    with pytest.raises(InputError, match="index of a disc"):
        read_source(found(disc / "DICOMDIR")[0])


def test_a_scan_beside_a_series_is_a_case_of_its_own(series, tmp_path, scan):
    shutil.copy(scan, series / "before.nii.gz")
    write_dicom_series(series / "deeper", np.zeros((4, 4, 3), np.int16))
    assert names(found(series), series) == [".", "before.nii.gz", "deeper"]


def test_a_series_dealt_out_to_folders_is_one_scan(series, tmp_path, blob):
    """Each half alone would be read as a whole scan of half the height."""
    disc = tmp_path / "disc"
    for number, file in enumerate(sorted(series.iterdir(), key=lambda path: int(path.stem))):
        folder = disc / ("AA" if number < 9 else "BB")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder)
    (case,) = found(disc)
    assert case.name == str(disc) and read_source(case).shape == blob.shape


def test_slices_that_are_named_one_by_one_are_one_scan(series, segment, blob):
    (case,) = found(f"{series}/*.dcm")
    assert case.name == str(series) and read_source(case).shape == blob.shape
    outcome = segment(*sorted(series.iterdir()))
    (row,) = map(json.loads, outcome.stdout.splitlines())
    assert row["shape"] == list(blob.shape) and row["damage"] == []
    (row,) = map(json.loads, segment(series / "5.dcm").stdout.splitlines())
    assert row["shape"] == [20, 26, 1]
    assert "is one of 18 slices of its series in this folder" in row["damage"]


def test_slices_of_several_series_that_are_named_one_by_one(series, blob):
    write_dicom_series(series, blob[:, :, :6], name="other-{}.dcm")
    cases = found(f"{series}/*.dcm")
    assert sorted(read_source(case).shape[2] for case in cases) == [6, 18]
    assert len({case.name for case in cases}) == 2


def test_the_series_of_a_folder_are_listed(series, blob, segment):
    write_dicom_series(series, blob[:, :, :6], name="other-{}.dcm")
    for file in series.iterdir():
        slice_ = pydicom.dcmread(file)
        other = file.name.startswith("other")
        slice_.SeriesNumber, slice_.SeriesDescription = (3, "T2") if other else (7, "T1 MPRAGE")
        slice_.save_as(file)
    outcome = segment(series)
    assert "holds 2 series (slices 1: 6, 2: 18); see --list-series" in outcome.stderr
    rows = [json.loads(line) for line in segment(series, "--list-series").stdout.splitlines()]
    assert [(row["series"], row["description"], row["size"]) for row in rows] == [
        (1, "T2", "20 x 26 x 6"),
        (2, "T1 MPRAGE", "20 x 26 x 18"),
    ]
    (row,) = map(json.loads, segment(series, "--series", 2).stdout.splitlines())
    assert row["shape"] == [20, 26, 18]


def test_what_is_no_slice_is_named(series, segment):
    report = pydicom.dcmread(series / "3.dcm")
    for tag in ("Rows", "Columns", "PixelData", "ImagePositionPatient"):
        delattr(report, tag)
    report.save_as(series / "report.dcm")
    (series / "notes.txt").write_text("no scan")
    outcome = segment(series)
    (row,) = map(json.loads, outcome.stdout.splitlines())
    assert "1 DICOM files that are no slices were left out: report.dcm" in row["damage"]
    assert "1 left out, named as no scan and no image: notes.txt" in outcome.stderr


def test_several_channels_below_a_folder(tmp_path, blob):
    for case in "ab":
        for number in range(2):
            image = nibabel.Nifti1Image(blob, np.eye(4))
            nibabel.save(image, tmp_path / f"{case}_000{number}.nii.gz")
    cases = found(tmp_path, num_channels=2)
    assert names(cases, tmp_path) == ["a_0000.nii.gz", "b_0000.nii.gz"]
    assert [len(case.paths) for case in cases] == [2, 2]


def test_a_folder_that_cannot_be_read_fails_alone(tmp_path, scan, monkeypatch):
    shut = tmp_path / "shut"
    shut.mkdir()
    real = Path.iterdir

    def iterdir(path):
        if path == shut:
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    good, bad = found(tmp_path)
    assert not good.fault and "permission denied" in bad.fault.reason and bad.name == str(shut)
