"""DICOM-SEG: the result as DICOM archives keep it, beside the series it belongs to, without a word
of the patient."""

import importlib.util
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom

from medical_segment import system
from vitrail.errors import InputError, MissingError

if TYPE_CHECKING:
    from medical_segment.result import Result

# All that a segmentation needs of its source: identifiers of images, and geometry. Nothing about a
# person.
KEPT = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality",
    "Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness",
    "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PhotometricInterpretation",
]  # fmt: skip
EMPTY = [
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "ReferringPhysicianName",
    "StudyDate", "StudyTime", "StudyID",
]  # fmt: skip
NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
MAKER = "Vitrail"


def require() -> None:
    """MissingError where the library is not installed."""
    if importlib.util.find_spec("highdicom") is None:
        raise MissingError(
            "highdicom",
            "DICOM-SEG needs this library",
            "install vitrail-medical-segment[dicom-seg]",
        )


def write(result: "Result", path: Path) -> None:
    """Writes one binary segment a structure; overlapping regions stay whole.

    Empty structures are left out, as the standard wants. Raises InputError where nothing was found
    and where the series lacks its identifiers.
    """
    from highdicom import UID
    from highdicom.seg import Segmentation, SegmentationTypeValues

    sources = [_source(file) for file in result.volume.files]
    masks = {
        s.name: _mask(result, number) for number, s in enumerate(result.structures) if s.voxels
    }
    if not masks:
        raise InputError(
            result.source,
            "holds none of the structures, and a DICOM-SEG cannot be empty",
            "see labels",
        )
    frames = np.stack(
        [mask.transpose(2, 1, 0) for mask in masks.values()], axis=-1
    )  # slices, rows, columns, segments
    with warnings.catch_warnings(action="ignore"):
        found = Segmentation(
            source_images=sources,
            pixel_array=frames,
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=[
                _description(number, name) for number, name in enumerate(masks, start=1)
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
        found.save_as(path)


def _source(file: Path) -> pydicom.Dataset:
    source = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=KEPT)
    if not all(source.get(name) for name in NEEDED):
        raise InputError(
            file,
            "lacks the identifiers that a DICOM-SEG refers to",
            "take the series from its archive",
        )
    for name in EMPTY:
        setattr(source, name, "")
    return source


def _mask(result: "Result", number: int) -> np.ndarray:
    """The structure's bool mask (columns, rows, slices)."""
    if result.regions is not None:
        return result.regions[number].astype(bool)
    return result.labels == result.structures[number].value


def _description(number: int, name: str):
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
