"""RTSTRUCT: outlines as planning systems draw them, beside the series they belong to, without a
word of the patient."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from medical_segment import system
from medical_segment.files.dicom_seg import EMPTY, MAKER
from medical_segment.files.tracing import outlines
from medical_segment.files.volume import Volume

STUDY = "1.2.840.10008.3.1.2.3.1"  # what a structure set calls a study (retired, still asked for)


def write_rtstruct(
    path: Path,
    volume: Volume,
    masks: Mapping[str, np.ndarray],
    palette: Mapping[str, tuple[int, int, int]],
) -> None:
    """Writes a region of interest per structure, from its bool mask (columns, rows, slices) on the
    grid of ``volume``, in the colours of ``palette``.

    A hole is an outline within an outline (the even-odd rule). Empty structures are left out, and
    so is the file where all are empty. Source: DICOM PS3.3, section A.19.3.
    """
    found = {name: mask for name, mask in masks.items() if mask.any()}
    if not found:
        return
    first, now = volume.slices[0], datetime.now()
    made = _dataset(
        **dict.fromkeys(EMPTY, ""),
        SOPClassUID=RTStructureSetStorage,
        SOPInstanceUID=_new_uid(),
        Modality="RTSTRUCT",
        Manufacturer=MAKER,
        ManufacturerModelName=system.name,
        SoftwareVersions=system.version,
        StudyInstanceUID=first.StudyInstanceUID,
        SeriesInstanceUID=_new_uid(),
        SeriesNumber=1001,
        InstanceNumber=1,
        StructureSetLabel=MAKER,
        StructureSetDescription="Not a medical device",
        StructureSetDate=now.strftime("%Y%m%d"),
        StructureSetTime=now.strftime("%H%M%S"),
        ReferencedFrameOfReferenceSequence=[_frame_of(volume)],
        ApprovalStatus="UNAPPROVED",
    )
    made.StructureSetROISequence = [
        _dataset(
            ROINumber=number,
            ReferencedFrameOfReferenceUID=first.FrameOfReferenceUID,
            ROIName=name[:64],
            ROIGenerationAlgorithm="AUTOMATIC",
        )
        for number, name in enumerate(found, start=1)
    ]
    made.ROIContourSequence = [
        _dataset(
            ROIDisplayColor=list(palette[name]),
            ContourSequence=_contours(volume, mask),
            ReferencedROINumber=number,
        )
        for number, (name, mask) in enumerate(found.items(), start=1)
    ]
    made.RTROIObservationsSequence = [
        _dataset(
            ObservationNumber=number,
            ReferencedROINumber=number,
            RTROIInterpretedType="",
            ROIInterpreter="",
        )
        for number in range(1, len(found) + 1)
    ]
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.save_as(path, enforce_file_format=True)


def _frame_of(volume: Volume) -> Dataset:
    """Which slices of which series the outlines lie on."""
    first = volume.slices[0]
    series = _dataset(
        SeriesInstanceUID=first.SeriesInstanceUID,
        ContourImageSequence=[_reference(header) for header in volume.slices],
    )
    study = _dataset(
        ReferencedSOPClassUID=STUDY,
        ReferencedSOPInstanceUID=first.StudyInstanceUID,
        RTReferencedSeriesSequence=[series],
    )
    return _dataset(
        FrameOfReferenceUID=first.FrameOfReferenceUID, RTReferencedStudySequence=[study]
    )


def _contours(volume: Volume, mask: np.ndarray) -> list[Dataset]:
    found = []
    for place in np.flatnonzero(mask.any(axis=(0, 1))):
        header = volume.slices[place]
        for line in outlines(mask[:, :, place]):
            points = _in_patient(header, line)
            found.append(
                _dataset(
                    ContourImageSequence=[_reference(header)],
                    ContourGeometricType="CLOSED_PLANAR",
                    NumberOfContourPoints=len(points),
                    ContourData=[f"{value:.3f}" for value in points.ravel()],
                )
            )
    return found


def _in_patient(header: Dataset, line: np.ndarray) -> np.ndarray:
    """Columns and rows (n, 2) of a slice as millimetres (n, 3) to the left, the back and the
    head."""
    corner = np.array(header.ImagePositionPatient, float)
    across, down = np.array(header.ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = map(float, header.PixelSpacing)
    return corner + line[:, :1] * between_columns * across + line[:, 1:] * between_rows * down


def _reference(header: Dataset) -> Dataset:
    return _dataset(
        ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID
    )


def _dataset(**values: Any) -> Dataset:
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def _new_uid() -> UID:
    return generate_uid(prefix=None)
