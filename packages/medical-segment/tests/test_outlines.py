"""RTSTRUCT and ImageJ's ROIs: filled again they are the masks, and nothing of a patient is in
them."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from skimage.draw import polygon2mask

from medical_segment.files.dicom import read_dicom
from medical_segment.files.imagej import write_rois
from medical_segment.files.rtstruct import write_rtstruct
from medical_segment.files.tracing import outlines
from vitrail.testing.commands import call

from .fakes import PATIENT, write_dicom_series

EXAMPLE = Path(__file__).parents[1] / "examples" / "nuclei.png"
OBLIQUE = (0.8, 0.6, 0, 0, 0, -1)


def filled(lines, shape: tuple[int, int]) -> np.ndarray:
    """By the even-odd rule."""
    mask = np.zeros(shape, bool)
    for line in lines:
        mask ^= polygon2mask(shape, line)
    return mask


@pytest.mark.parametrize("number", range(5))
def test_filled_outlines_are_the_mask(number):
    """Holes, single pixels, pixels that touch by a corner, the picture's edge."""
    mask = np.random.default_rng(number).random((13, 17)) > 0.4
    assert np.array_equal(filled(outlines(mask), mask.shape), mask)


def test_a_structure_set_lies_on_its_slices(tmp_path, blob):
    """An oblique series: points are projected back by each slice's own header."""
    folder = write_dicom_series(tmp_path / "series", blob[:, :, :6], OBLIQUE)
    volume = read_dicom(folder, sorted(folder.iterdir()))
    ball = np.zeros(volume.shape, bool)
    ball[4:12, 9:20, 1:4] = True
    ball[7:9, 12:15, 2] = False  # a hole
    masks = {"ball": ball, "nothing": np.zeros_like(ball), "dot": np.zeros_like(ball)}
    masks["dot"][0, 0, 5] = True
    palette = {"ball": (255, 0, 0), "nothing": (0, 255, 0), "dot": (0, 0, 255)}
    write_rtstruct(tmp_path / "rt.dcm", volume, masks, palette)
    found = pydicom.dcmread(tmp_path / "rt.dcm")
    names = {roi.ROINumber: roi.ROIName for roi in found.StructureSetROISequence}
    assert list(names.values()) == ["ball", "dot"]
    slices = {header.SOPInstanceUID: header for header in volume.slices}
    places = {uid: place for place, uid in enumerate(slices)}
    for roi in found.ROIContourSequence:
        lines: dict[str, list] = {}
        for contour in roi.ContourSequence:
            uid = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            assert len(points) == contour.NumberOfContourPoints
            header = slices[uid]
            away = points - np.array(header.ImagePositionPatient, float)
            axes = np.array(header.ImageOrientationPatient, float).reshape(2, 3)
            assert np.abs(away @ np.cross(*axes)).max() < 1e-3, "within its slice"
            lines.setdefault(uid, []).append(away @ axes.T)
        again = np.zeros(volume.shape, bool)
        for uid, drawn in lines.items():
            again[:, :, places[uid]] = filled(drawn, volume.shape[:2])
        assert np.array_equal(again, masks[names[roi.ReferencedROINumber]])
    referenced = found.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    images = referenced.RTReferencedSeriesSequence[0].ContourImageSequence
    assert {item.ReferencedSOPInstanceUID for item in images} == set(slices)
    raw = (tmp_path / "rt.dcm").read_bytes()
    assert not [value for value in PATIENT.values() if value.encode() in raw]
    assert found.PatientName == "" and found.StudyInstanceUID == volume.slices[0].StudyInstanceUID


def test_rois_of_pages(tmp_path):
    roifile = pytest.importorskip("roifile")
    cells = np.zeros((2, 9, 12), np.uint16)
    cells[0, 1:4, 2:6] = 1
    cells[1, 5:8, 7:12] = 2
    write_rois(tmp_path / "a.zip", [(cells, {1: "1", 2: "2"})])
    found = roifile.roiread(tmp_path / "a.zip")
    assert [(roi.name, roi.position) for roi in found] == [("1", 1), ("2", 2)]
    for number, roi in enumerate(found, start=1):
        drawn = filled([roi.coordinates()[:, ::-1] - 0.5], cells.shape[1:])
        assert np.array_equal(drawn, cells[number - 1] == number)


@pytest.fixture
def command(tiny_weights, tmp_path):
    return lambda *words: call(
        "medical_segment", *words, "--weights", tiny_weights, "--outlines", "-o", tmp_path / "out"
    )


def test_a_series_and_a_scan(command, series, scan, tmp_path):
    outcome = command(series, scan)
    one, other = map(json.loads, outcome.stdout.splitlines())
    assert outcome.status == 1 and (one["status"], other["status"]) == ("done", "failed")
    assert "is not a DICOM series, which an RTSTRUCT refers to" in other["reason"]
    found = pydicom.dcmread(tmp_path / "out" / "series" / "outlines.dcm")
    drawn = {roi.ROIName for roi in found.StructureSetROISequence}
    assert drawn == {name for name, size in one["structures"].items() if size["voxels"]}


def test_cells_of_an_image(tmp_path):
    pytest.importorskip("roifile")
    picture = call(
        "medical_segment", EXAMPLE, "--weights", "nuclei", "--outlines", "-o", tmp_path / "out"
    )
    row = json.loads(picture.stdout)
    with zipfile.ZipFile(tmp_path / "out" / "nuclei.png" / "outlines.zip") as file:
        assert len({name.split("-")[0] for name in file.namelist()}) >= row["objects"] > 10
