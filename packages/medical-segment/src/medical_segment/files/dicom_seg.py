"""DICOM-SEG: the result as DICOM archives keep it, beside the series it belongs to, without a word
of the patient."""

import importlib.util
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medical_segment import system
from medical_segment.files.volume import Kind, Volume
from vitrail.errors import InputError, MissingError

if TYPE_CHECKING:
    from pydicom import Dataset

EMPTY = [
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber",
    "ReferringPhysicianName", "StudyDate", "StudyTime", "StudyID",
]  # fmt: skip
NEEDED = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
)  # fmt: skip
MAKER = "Vitrail"


def require_dicom_seg() -> None:
    """MissingError where the library is not installed."""
    if importlib.util.find_spec("highdicom") is None:
        raise MissingError(
            "highdicom",
            "DICOM-SEG needs this library",
            "install vitrail-medical-segment[dicom-seg]",
        )


def require_series(name: str, volume: Volume, what: str, option: str) -> None:
    """InputError where a case is nothing that ``what`` can refer to, before it is computed."""
    if volume.kind is not Kind.dicom:
        problem = f"is not a DICOM series, which {what} refers to"
        raise InputError(name, problem, f"leave out {option}")
    if not volume.slices:
        problem = f"is a multi-frame file, for which no {what.split()[-1]} is written"
        raise InputError(name, problem, f"leave out {option}")
    if not all(header.get(tag) for header in volume.slices for tag in NEEDED):
        problem = f"lacks identifiers that {what} refers to"
        raise InputError(name, problem, f"take it from its archive, or leave out {option}")


def write_dicom_seg(path: Path, volume: Volume, masks: Mapping[str, np.ndarray]) -> None:
    """Writes one binary segment per structure, from its bool mask (columns, rows, slices) on the
    grid of ``volume``; overlapping regions stay whole.

    Empty structures are left out, as the standard wants, and so is the file where all are empty.
    """
    from highdicom import UID
    from highdicom.seg import Segmentation, SegmentationTypeValues

    found = {name: mask for name, mask in masks.items() if mask.any()}
    if not found:
        return
    sources = [_without_patient(header) for header in volume.slices]
    frames = np.stack([mask.transpose(2, 1, 0) for mask in found.values()], axis=-1)
    # The library warns of each value that the standard wants and we leave empty.
    with warnings.catch_warnings(action="ignore"):
        made = Segmentation(
            source_images=sources,
            pixel_array=frames,  # slices, rows, columns, segments
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=[
                _description(number, name) for number, name in enumerate(found, start=1)
            ],
            series_instance_uid=UID(),
            series_number=1000,
            sop_instance_uid=UID(),
            instance_number=1,
            manufacturer=MAKER,
            manufacturer_model_name=system.name,
            software_versions=system.version,
            device_serial_number="0",
            content_description="Not a medical device",
        )
        made.save_as(path)


def _without_patient(header: "Dataset") -> "Dataset":
    for name in EMPTY:
        setattr(header, name, "")
    return header


def _description(number: int, name: str) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes

    algorithm = AlgorithmIdentificationSequence(
        name=system.name, family=codes.DCM.ArtificialIntelligence, version=system.version
    )
    return SegmentDescription(
        segment_number=number,
        segment_label=name[:64],
        segmented_property_category=codes.SCT.Tissue,
        segmented_property_type=codes.SCT.Tissue,
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
    )
