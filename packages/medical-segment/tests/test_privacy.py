"""Nothing of the patient in any file, on any stream, in any message."""

import re
import traceback
import warnings

import nibabel
import numpy as np
import pydicom
import pytest

from medical_segment.files.reading import read_case
from vitrail.testing.commands import call

from .fakes import PATIENT, write_dicom_series

SECRETS = [*PATIENT.values(), "Jane", "Invented"]


def assert_silent(text: str | bytes) -> None:
    raw = text if isinstance(text, bytes) else text.encode()
    assert not [secret for secret in SECRETS if secret.encode() in raw]


def test_a_dicom_series(series, tmp_path, tiny_weights):
    pytest.importorskip("highdicom")
    outcome = call(
        "medical_segment",
        series,
        "-o",
        tmp_path / "out",
        "--weights",
        tiny_weights,
        "--engine",
        "eager",
        "--dicom-seg",
        "--probabilities",
    )
    assert outcome.status == 0, outcome.stderr
    assert_silent(outcome.stdout + outcome.stderr)
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {"segmentation.dcm", "labels.nii.gz"} <= {path.name for path in written}
    for path in written:
        assert_silent(path.read_bytes())
        if path.suffix == ".gz":
            image = nibabel.load(path)
            assert_silent(image.header.binaryblock)
            assert not image.header.extensions


def test_free_text_of_a_nifti_header(tmp_path, blob, tiny_weights):
    image = nibabel.Nifti1Image(blob, np.eye(4))
    for name in ("descrip", "aux_file", "db_name", "intent_name"):
        image.header[name] = b"Invented^Jane"
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"SECRET-4711"))
    nibabel.save(image, tmp_path / "a.nii.gz")
    outcome = call(
        "medical_segment", tmp_path / "a.nii.gz", "-o", tmp_path / "out", "--weights", tiny_weights
    )
    assert outcome.status == 0, outcome.stderr
    made = nibabel.load(tmp_path / "out" / "a.nii.gz" / "labels.nii.gz")
    assert_silent(made.header.binaryblock + outcome.stdout.encode())
    assert not made.header.extensions


def test_no_message_repeats_a_tag(tmp_path, blob, capfd):
    """Even where the damage lies in the patient's own tags, and even in a traceback."""
    folder = write_dicom_series(tmp_path / "s", blob[:, :, :4])
    for path in sorted(folder.iterdir()):
        good = path.read_bytes()
        for place in [
            match.start() for secret in SECRETS for match in re.finditer(secret.encode(), good)
        ]:
            for change in (
                good[:place],
                good[: place - 4] + b"\xff\xff\xff\xff" + good[place:],
                good[:place] + good,
            ):
                path.write_bytes(change)
                try:
                    with warnings.catch_warnings(action="error"):
                        read_case(folder)
                except Exception as error:
                    assert_silent("".join(traceback.format_exception(error)))
        path.write_bytes(good)
    printed = capfd.readouterr()
    assert_silent(printed.out + printed.err)


def test_a_dicom_seg_is_found_again_and_equal(series, tmp_path, tiny_weights):
    highdicom = pytest.importorskip("highdicom")
    call(
        "medical_segment",
        series,
        "-o",
        tmp_path / "out",
        "--weights",
        tiny_weights,
        "--engine",
        "eager",
        "--dicom-seg",
    )
    found = highdicom.seg.segread(tmp_path / "out" / "series" / "segmentation.dcm")
    labels = np.asarray(nibabel.load(tmp_path / "out" / "series" / "labels.nii.gz").dataobj)
    assert found.PatientName == "" and found.PatientID == ""
    sources = {path: pydicom.dcmread(path) for path in series.iterdir()}
    ordered = sorted(sources.values(), key=lambda item: item.ImagePositionPatient[2])
    numbers = found.segment_numbers
    names = [found.get_segment_description(number).segment_label for number in numbers]
    values = {"anterior": 1, "posterior": 2}
    frames = found.get_pixels_by_source_instance(
        [item.SOPInstanceUID for item in ordered],
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )
    for place, name in enumerate(names):
        assert np.array_equal(frames[..., place].transpose(2, 1, 0) > 0, labels == values[name])
    assert {item.SeriesInstanceUID for item in ordered} == {
        item.SeriesInstanceUID for item in found.ReferencedSeriesSequence
    }
